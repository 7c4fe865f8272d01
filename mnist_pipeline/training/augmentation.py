"""Random changes of images, as Keras ops: they run inside the compiled training step and are never saved."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline import SIDE
from mnist_pipeline.config import AugmentationConfig
from mnist_pipeline.keras_backend import load_keras

MIDDLE = (SIDE - 1) / 2
ELASTIC_KNOTS = 5
"""Points along each axis whose random displacements make up the elastic change."""
ELASTIC_WIDTH = 4.0
"""How far such a point reaches, standard deviation of a Gaussian, pixels."""


def augment(images: Any, config: AugmentationConfig, draws: Any) -> Any:
    """``images``, float32 [N, 28, 28, 1] in [0, 1], each changed in its own way: moved, then overlaid with noise.

    Args:
        images: the images.
        config: the ranges.
        draws: a ``keras.random.SeedGenerator``, which decides the changes and moves on.
    """
    if config.moves_something:
        images = move(images, config, draws)
    return add_noise(images, config.noise, draws) if config.noise else images


def add_noise(images: Any, largest: float, draws: Any) -> Any:
    """Gaussian noise on every other image, on average; its standard deviation is uniform up to ``largest``."""
    keras = load_keras()
    shape = keras.ops.shape(images)
    each = (shape[0], 1, 1, 1)
    deviations = keras.ops.relu(keras.random.uniform(each, -largest, largest, dtype="float32", seed=draws))
    noise = keras.random.normal(shape, dtype="float32", seed=draws)
    return keras.ops.clip(images + deviations * noise, 0.0, 1.0)


def move(images: Any, config: AugmentationConfig, draws: Any) -> Any:
    """``images``, each rotated, slanted, enlarged, shifted and distorted in its own way; bilinear, zero outside.

    Rotation, shear, zoom and shift are each uniform in their range, about the image's centre. The
    elastic change is a smooth field of displacements (P. Y. Simard and others, "Best practices for
    convolutional neural networks applied to visual document analysis", ICDAR 2003).
    """
    keras = load_keras()
    count = keras.ops.shape(images)[0]
    unit = keras.random.uniform((count, 5), -1.0, 1.0, dtype="float32", seed=draws)
    limits = [math.radians(config.rotation), math.radians(config.shear), config.zoom, config.shift, config.shift]
    changes = keras.ops.split(unit * keras.ops.convert_to_tensor(limits, dtype="float32"), 5, axis=1)
    if not config.elastic:
        return warp(images, *changes)
    knots = (count * 2, ELASTIC_KNOTS, ELASTIC_KNOTS)
    field = smooth(keras.random.normal(knots, stddev=config.elastic, dtype="float32", seed=draws))
    down, right = keras.ops.split(keras.ops.reshape(field, (count, 2, SIDE * SIDE)), 2, axis=1)
    x, y = sources(*changes)
    return sample(images, x + right[:, 0], y + down[:, 0])


def warp(images: Any, angle: Any, shear: Any, zoom: Any, down: Any, right: Any) -> Any:
    """``images`` turned by ``angle`` radians, slanted, enlarged and shifted, in this order; each argument [N, 1].

    ``down`` and ``right`` are in pixels, ``zoom`` is relative, ``shear`` is the angle between an upright
    line and what becomes of it, radians.
    """
    ops = load_keras().ops
    zero = ops.zeros_like(angle)
    rows = ops.concatenate([*_inverse(angle, shear, zoom, down, right), zero, zero], axis=1)
    return ops.image.affine_transform(
        images, rows, interpolation="bilinear", fill_mode="constant", fill_value=0, data_format="channels_last"
    )


def sources(angle: Any, shear: Any, zoom: Any, down: Any, right: Any) -> tuple[Any, Any]:
    """Where `warp` reads each pixel of its result: x and y, float32 [N, 784] each."""
    y, x = np.divmod(np.arange(SIDE * SIDE, dtype=np.float32), SIDE)
    x_of_x, x_of_y, start_x, y_of_x, y_of_y, start_y = _inverse(angle, shear, zoom, down, right)
    return x_of_x * x + x_of_y * y + start_x, y_of_x * x + y_of_y * y + start_y


def sample(images: Any, x: Any, y: Any) -> Any:
    """``images`` [N, 28, 28, 1], read at ``x`` and ``y`` [N, 784]; bilinear, zero outside."""
    ops = load_keras().ops
    # With an empty frame around it, every place outside of an image can be read as the nearest one on its frame.
    side = SIDE + 3
    framed = ops.reshape(ops.pad(images[..., 0], ((0, 0), (1, 2), (1, 2))), (-1,))
    x, y = ops.clip(x + 1.0, 0.0, SIDE + 1.0), ops.clip(y + 1.0, 0.0, SIDE + 1.0)
    left, top = ops.floor(x), ops.floor(y)
    first = ops.expand_dims(ops.arange(ops.shape(images)[0], dtype="int32") * side**2, 1)
    place = ops.cast(top * side + left, "int32") + first
    corners = (ops.take(framed, place + step) for step in (0, 1, side, side + 1))
    top_left, top_right, low_left, low_right = corners
    upper = top_left + (x - left) * (top_right - top_left)
    lower = low_left + (x - left) * (low_right - low_left)
    return ops.reshape(upper + (y - top) * (lower - upper), (-1, SIDE, SIDE, 1))


def smooth(knots: Any) -> Any:
    """Smooth fields [M, 28, 28] from values at `ELASTIC_KNOTS` squared points.

    Each pixel's value has the standard deviation of the points' where those are independent.
    """
    ops = load_keras().ops
    shares = ops.convert_to_tensor(_shares())
    return ops.matmul(ops.matmul(shares, knots), ops.transpose(shares))


def _shares() -> NDArray[np.float32]:
    """What each knot contributes to each pixel of one axis: [28, knots]; the squares of a row sum to 1."""
    knots = np.linspace(0, SIDE - 1, ELASTIC_KNOTS)
    weights = np.exp(-0.5 * ((np.arange(SIDE)[:, None] - knots) / ELASTIC_WIDTH) ** 2)
    return np.asarray(weights / np.linalg.norm(weights, axis=1, keepdims=True), dtype=np.float32)


def _inverse(angle: Any, shear: Any, zoom: Any, down: Any, right: Any) -> tuple[Any, Any, Any, Any, Any, Any]:
    """The inverse change: from where each output pixel, counted from the shifted middle, is read.

    x' = a x + b y + c and y' = d x + e y + f; returns a to f.
    """
    ops = load_keras().ops
    scale = 1.0 / (1.0 + zoom)
    cos, sin, tan = ops.cos(angle) * scale, ops.sin(angle) * scale, ops.tan(shear)
    x_of_x, x_of_y = cos, cos * tan - sin
    y_of_x, y_of_y = sin, sin * tan + cos
    start_x = MIDDLE - x_of_x * (MIDDLE + right) - x_of_y * (MIDDLE + down)
    start_y = MIDDLE - y_of_x * (MIDDLE + right) - y_of_y * (MIDDLE + down)
    return x_of_x, x_of_y, start_x, y_of_x, y_of_y, start_y
