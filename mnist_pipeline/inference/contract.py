"""What every model file promises: its input, its output, and what it says of itself.

And how far the answers of two models on the same images are apart. Pure.
"""

import json
from collections.abc import Mapping
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from mnist_pipeline import CLASSES
from mnist_pipeline.errors import ExportError, IntegrityError
from mnist_pipeline.schema import Record

INPUT = "images"
"""uint8 [N, 28, 28], 0 = background, 255 = ink.

In a browser: ``new ort.Tensor("uint8", pixels, [n, 28, 28])``. In OpenCV: ``net.setInput(images)`` with the uint8
array as it is; ``cv2.dnn.blobFromImages`` makes float32 [N, 1, 28, 28] of it, which OpenCV 5 refuses.
"""
PROBABILITIES = "probabilities"
"""Output: float32 [N, 10]."""
NOVELTY = "novelty"
"""Output: float32 [N], the log-odds that an image is none of the classes. Models of other makers may lack it."""
BATCH = "N"
"""Name of the free dimension."""
SUM_TOLERANCE = 1e-4
"""Rounding of ten float32 probabilities, with room to spare."""

CONVENTION = {
    "input_convention": "images: uint8 [N, 28, 28]; 0 = background, 255 = ink; scaling to [0, 1] is inside the graph",
    "output_convention": "probabilities: float32 [N, 10]; one column per class, in the order of class_names; "
    "novelty: float32 [N]; log-odds that the image is none of the classes",
    "limits_convention": "no answer where the greatest probability is below limits.confidence, or where novelty is "
    "above limits.novelty; an image that came in the form of the training images and whose greatest probability is at "
    "least limits.sure is answered whatever its novelty",
}


class AnswerLimits(Record):
    """When the model's answer counts; chosen on validation rows before the file was written."""

    confidence: float
    """The least probability of an answer."""
    novelty: float
    """The greatest novelty of an answer."""
    sure: float
    """From this probability on, an image that came in MNIST's form is answered whatever its novelty."""
    turned_away: float
    """Share of the right answers that the limits turn away, on the validation rows."""
    rows: int
    """Validation rows that they were chosen on."""


class ModelMetadata(Record):
    """What a model file says of itself, in its ``metadata_props``."""

    class_names: tuple[str, ...]
    dataset: str
    dataset_digest: str
    run_id: str
    preset: str
    frameworks: dict[str, str]
    """Package -> version, of those that made the model."""
    limits: AnswerLimits | None = None
    """None where nothing was held out to choose them on, or the model has no novelty."""

    def to_props(self) -> dict[str, str]:
        """Key -> text; lists and mappings as JSON with sorted keys."""
        limits = {} if self.limits is None else {"limits": self.limits.model_dump_json()}
        return (
            CONVENTION
            | limits
            | {
                "class_names": json.dumps(self.class_names),
                "dataset": self.dataset,
                "dataset_digest": self.dataset_digest,
                "run_id": self.run_id,
                "preset": self.preset,
                "frameworks": json.dumps(self.frameworks, sort_keys=True),
            }
        )

    @classmethod
    def from_props(cls, props: Mapping[str, str]) -> Self:
        """The inverse of `to_props`; further keys are passed over.

        Raises:
            IntegrityError: a key is missing or its text is not of the right form.
        """
        needed = [name for name in cls.model_fields if name != "limits"]
        missing = [name for name in needed if name not in props]
        if missing:
            raise IntegrityError(f"the model file does not state its {', '.join(missing)}; export it again")
        try:
            found = cls.model_validate(
                {name: props[name] for name in needed}
                | {name: json.loads(props[name]) for name in ("class_names", "frameworks", "limits") if name in props}
            )
        except (ValueError, ValidationError, RecursionError) as error:
            raise IntegrityError(f"the metadata of the model file is broken: {str(error).splitlines()[0]}") from None
        if len(found.class_names) != CLASSES:
            raise IntegrityError(f"the model file names {len(found.class_names)} classes, expected {CLASSES}")
        return found


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
