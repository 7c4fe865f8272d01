"""What a model's answers must be, and how far those of two models on the same images are apart. Pure."""

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
        ExportError: either is not made of probabilities. Two models that are broken in the same way would agree.
    """
    require_probabilities(keras, "the Keras model")
    require_probabilities(onnx, "the ONNX model")
    difference = np.abs(keras.astype(np.float64) - onnx.astype(np.float64))
    return Agreement(
        images=len(keras),
        max_abs_difference=float(difference.max()),
        mean_abs_difference=float(difference.mean()),
        argmax_differences=int((keras.argmax(axis=1) != onnx.argmax(axis=1)).sum()),
    )


def require_probabilities(values: NDArray[np.float32], model: str) -> None:
    """Let probabilities alone pass: float32 [n, classes], none negative, each row of sum 1.

    Raises:
        ExportError: rows of ``values`` are not probabilities; tells how many, the first one, and the ``model``.
    """
    # NaN fails every comparison, so what is asked for is the good case.
    good = (values >= 0).all(axis=1) & (np.abs(values.sum(axis=1, dtype=np.float64) - 1) <= SUM_TOLERANCE)
    if not good.all():
        row = int(good.argmin())
        raise ExportError(
            f"{model} gives no probabilities for {int((~good).sum())} of {len(values)} images: image {row} has the "
            f"smallest {values[row].min():g}, the sum {values[row].sum():g}; the last layer must be a softmax"
        )
