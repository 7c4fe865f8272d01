"""Random geometric changes of images, as Keras ops: they run inside the compiled training step and are never saved."""

import math
from typing import Any

from mnist_pipeline.config import AugmentationConfig
from mnist_pipeline.training.backend import load_keras

SIDE = 28
PADDED = SIDE + 2


def random_coordinates(config: AugmentationConfig, count: Any, draws: Any) -> tuple[Any, Any]:
    """Where each output pixel of ``count`` images is read from: float32 y and x, each [count, 784], in pixels.

    Rotation, shear, zoom and shift are each uniform in their range, about the image's centre.

    Args:
        config: the ranges.
        count: images, a number or a scalar tensor.
        draws: a ``keras.random.SeedGenerator``.
    """
    keras = load_keras()
    ops = keras.ops
    limits = [*(math.radians(d) for d in (config.rotation, config.shear)), config.zoom, config.shift, config.shift]
    unit = keras.random.uniform((count, 5), -1.0, 1.0, dtype="float32", seed=draws)
    angle, shear, zoom, down, right = ops.split(unit * ops.convert_to_tensor(limits, dtype="float32"), 5, axis=1)
    scale = 1.0 / (1.0 + zoom)  # reading from a smaller area shows a larger digit
    cos, sin, tan = ops.cos(angle) * scale, ops.sin(angle) * scale, ops.tan(shear)
    y, x = _grid(ops)
    middle = (SIDE - 1) / 2
    return (
        cos * y - sin * x + middle - down,
        (sin + cos * tan) * y + (cos - sin * tan) * x + middle - right,
    )


def sample(images: Any, coordinates: tuple[Any, Any]) -> Any:
    """float32 [N, 28, 28]: ``images`` read at ``coordinates``, bilinear, zero outside."""
    ops = load_keras().ops
    y, x = (ops.clip(c, -1.0, float(SIDE)) + 1.0 for c in coordinates)  # in the padded image, whose border is zero
    top, left = (ops.minimum(ops.floor(c), PADDED - 2.0) for c in (y, x))
    down, right = y - top, x - left
    count = ops.shape(images)[0]
    flat = ops.reshape(ops.pad(images, ((0, 0), (1, 1), (1, 1))), (-1,))
    first = ops.expand_dims(ops.arange(count, dtype="int32") * (PADDED * PADDED), 1)
    corner = first + ops.cast(top, "int32") * PADDED + ops.cast(left, "int32")

    def at(offset: int) -> Any:
        return ops.take(flat, corner + offset)

    upper = at(0) * (1.0 - right) + at(1) * right
    lower = at(PADDED) * (1.0 - right) + at(PADDED + 1) * right
    return ops.reshape(upper * (1.0 - down) + lower * down, (-1, SIDE, SIDE))


def _grid(ops: Any) -> tuple[Any, Any]:
    """Pixel positions about the centre: y and x, each float32 [1, 784]."""
    place = ops.arange(SIDE, dtype="float32") - (SIDE - 1) / 2
    y, x = ops.meshgrid(place, place, indexing="ij")
    return ops.reshape(y, (1, -1)), ops.reshape(x, (1, -1))
