"""Pure: how far two models' answers on the same images are apart."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.errors import ExportError

SUM_TOLERANCE = 1e-4
"""Rounding of ten float32 probabilities, with room to spare."""


class Agreement(NamedTuple):
    """Probabilities of two models on the same images."""

    images: int
    max_abs_difference: float
    mean_abs_difference: float
    argmax_differences: int
    """Images on which the most probable classes differ."""


def compare(keras: NDArray[np.float32], onnx: NDArray[np.float32]) -> Agreement:
    """Measure how far ``onnx`` is from ``keras``; both are probabilities, float32 [n, classes].

    Raises:
        ExportError: either is not made of probabilities: NaN, negative, or not of sum 1. Two models that
            are broken in the same way would agree.
    """
    for name, values in (("Keras", keras), ("ONNX", onnx)):
        _require_probabilities(name, values)
    difference = np.abs(keras.astype(np.float64) - onnx.astype(np.float64))
    return Agreement(
        images=len(keras),
        max_abs_difference=float(difference.max()),
        mean_abs_difference=float(difference.mean()),
        argmax_differences=int((keras.argmax(axis=1) != onnx.argmax(axis=1)).sum()),
    )


def _require_probabilities(name: str, values: NDArray[np.float32]) -> None:
    wrong = ~(np.isfinite(values).all(axis=1) & (values >= 0).all(axis=1))
    wrong |= ~(np.abs(values.sum(axis=1, dtype=np.float64) - 1) <= SUM_TOLERANCE)
    if wrong.any():
        row = int(wrong.argmax())
        raise ExportError(
            f"the {name} model gives no probabilities for {int(wrong.sum())} of {len(values)} images: "
            f"image {row} has the smallest {values[row].min():g}, the sum {values[row].sum():g}; "
            "the last layer must be a softmax"
        )
