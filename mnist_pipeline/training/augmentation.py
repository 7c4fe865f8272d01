"""Random geometric changes of images, as Keras ops: they run inside the compiled training step and are never saved."""

import math
from typing import Any

from mnist_pipeline.config import AugmentationConfig
from mnist_pipeline.training.backend import load_keras

MIDDLE = (28 - 1) / 2


def augment(images: Any, config: AugmentationConfig, draws: Any) -> Any:
    """``images``, float32 [N, 28, 28, 1], each changed in its own way; bilinear, zero outside.

    Rotation, shear, zoom and shift are each uniform in their range, about the image's centre.

    Args:
        images: the images.
        config: the ranges.
        draws: a ``keras.random.SeedGenerator``, which decides the changes and moves on.
    """
    keras = load_keras()
    count = keras.ops.shape(images)[0]
    unit = keras.random.uniform((count, 5), -1.0, 1.0, dtype="float32", seed=draws)
    limits = [math.radians(config.rotation), math.radians(config.shear), config.zoom, config.shift, config.shift]
    changes = keras.ops.split(unit * keras.ops.convert_to_tensor(limits, dtype="float32"), 5, axis=1)
    return warp(images, *changes)


def warp(images: Any, angle: Any, shear: Any, zoom: Any, down: Any, right: Any) -> Any:
    """``images`` turned by ``angle`` radians, slanted, enlarged and shifted, in this order; each argument [N, 1].

    ``down`` and ``right`` are in pixels, ``zoom`` is relative, ``shear`` is the angle between an upright
    line and what becomes of it, radians.
    """
    ops = load_keras().ops
    # The inverse change: where each output pixel, counted from the shifted middle, is read from.
    scale = 1.0 / (1.0 + zoom)
    cos, sin, tan = ops.cos(angle) * scale, ops.sin(angle) * scale, ops.tan(shear)
    x_of_x, x_of_y = cos, cos * tan - sin
    y_of_x, y_of_y = sin, sin * tan + cos
    start_x = MIDDLE - x_of_x * (MIDDLE + right) - x_of_y * (MIDDLE + down)
    start_y = MIDDLE - y_of_x * (MIDDLE + right) - y_of_y * (MIDDLE + down)
    zero = ops.zeros_like(angle)
    rows = ops.concatenate([x_of_x, x_of_y, start_x, y_of_x, y_of_y, start_y, zero, zero], axis=1)
    return ops.image.affine_transform(
        images, rows, interpolation="bilinear", fill_mode="constant", fill_value=0, data_format="channels_last"
    )
