"""A model of the embedded digits and folders of them as PNG files: what tests of scoring score."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.files import sha256_bytes
from mnist_pipeline.inference import ModelMetadata
from tests.support.images import png
from tests.support.linear_models import onnx_bytes

CLASS_NAMES = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")


@dataclass(frozen=True)
class Digits:
    """Images uint8 [n, 28, 28] in the sprite's form, and their digits."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]


@dataclass(frozen=True)
class Model:
    path: Path
    sha256: str


def write_model(digits: Digits, folder: Path) -> Model:
    """Regularised least squares to one-hot targets; softmax makes probabilities of it."""
    pixels = digits.images.reshape(len(digits.images), -1) / 255
    targets = 2 * np.eye(10)[digits.labels] - 1
    weights = np.linalg.solve(pixels.T @ pixels + np.eye(784), pixels.T @ targets)
    metadata = ModelMetadata(
        class_names=CLASS_NAMES, dataset="digits", dataset_digest="0" * 64, run_id="r", preset="p", frameworks={}
    )
    data = onnx_bytes((6 * weights).astype(np.float32), metadata)
    (folder / "model.onnx").write_bytes(data)
    return Model(folder / "model.onnx", sha256_bytes(data))


MakeFolder = Callable[[int], Path]


def write_folder(digits: Digits, folder: Path, count: int) -> Path:
    """The first so many digits, in sub-folders by digit."""
    for number in range(count):
        path = folder / str(digits.labels[number]) / f"{number:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(digits.images[number]))
    return folder
