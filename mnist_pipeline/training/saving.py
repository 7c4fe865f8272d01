"""From kept weights to the one model that is saved."""

import hashlib
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.files import canonical_json, write_bytes
from mnist_pipeline.keras_backend import load_keras
from mnist_pipeline.training.architectures import INPUT_SHAPE, OUTPUT_LAYER, build_model

Arrays = list[NDArray[Any]]
DOWN, RIGHT = 1, 2
SHIFTS = ((DOWN, 0), (DOWN, 1), (DOWN, -1), (RIGHT, 1), (RIGHT, -1))
"""The views of an image: where to, and by how many pixels."""


def combine(architecture: str, kept: Sequence[Arrays], views: int = 1) -> Any:
    """A float32 model with these weights; the mean of the probabilities where there are several, or several views."""
    members = []
    for weights in kept:
        member = build_model(architecture, seed=0)
        member.set_weights(weights)
        members.append(member)
    return members[0] if len(members) == views == 1 else average(members, views)


def average(members: Sequence[Any], views: int = 1) -> Any:
    """One model whose probabilities are the mean of those of ``members`` on the first ``views`` of `SHIFTS`."""
    keras = load_keras()
    images = keras.Input(INPUT_SHAPE, name="images")
    seen = images
    if views > 1:
        seen = keras.ops.concatenate([_shifted(images, *shift) for shift in SHIFTS[:views]], axis=0)
    for number, member in enumerate(members, start=1):
        member.name = f"member_{number}"
    answers = [member(seen) for member in members]
    probabilities = keras.layers.Average(name=OUTPUT_LAYER)(answers) if len(members) > 1 else answers[0]
    if views > 1:
        probabilities = keras.ops.mean(keras.ops.reshape(probabilities, (views, -1, probabilities.shape[-1])), axis=0)
    return keras.Model(images, probabilities, name="ensemble")


def _shifted(images: Any, axis: int, by: int) -> Any:
    """Symbolic ``images``, moved along an axis by 1, -1 or 0 pixels; what comes in is empty."""
    if by == 0:
        return images
    ops = load_keras().ops
    padding = [(0, 0)] * 4
    padding[axis] = (1, 0) if by > 0 else (0, 1)
    # Not a slice, which the contract of published models does not know.
    first, second = ops.split(ops.pad(images, padding), [images.shape[axis]] if by > 0 else [1], axis=axis)
    return first if by > 0 else second


def save_model(model: Any, path: Path) -> None:
    """Write ``model`` as a .keras archive, whole or not at all."""
    # Keras insists on the suffix and writes where it is told to, so it writes elsewhere first.
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "model.keras"
        with warnings.catch_warnings():
            # What NumPy 2 says of TensorFlow 2.21 when Keras saves a model; values are not affected.
            warnings.filterwarnings("ignore", "__array__ implementation doesn't accept a copy", DeprecationWarning)
            model.save(archive)
        write_bytes(path, archive.read_bytes())


def weights_digest(weights: Sequence[NDArray[Any]]) -> str:
    """Hex SHA-256 over dtype, shape and little-endian bytes of each array, in order."""
    digest = hashlib.sha256()
    for array in weights:
        digest.update(canonical_json([array.dtype.name, list(array.shape)]))
        digest.update(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False)).tobytes())
    return digest.hexdigest()
