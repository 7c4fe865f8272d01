"""What the reports derive from their inputs: shown images, levels of shading, lists. Pure."""

import base64
import io
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from PIL import Image as PillowImage

from mnist_pipeline.evaluation.schema import Evaluation, Latency
from mnist_pipeline.reporting.inputs import CHANGES_SHOWN, MISTAKES_SHOWN, Image, ReportInputs, ordinary_rows
from mnist_pipeline.runs.training_history import Layer, TrainingHistory
from mnist_pipeline.workspace import MODEL_KERAS, MODEL_ONNX

SHADES = 6
"""Levels by which the cells of the confusion matrix are shaded; 0 is not."""

# Whether it is champion is not for a page to say: it is drawn before the alias moves, and stays when a person moves it.
GateState = Literal["passed", "refused", "open"]
HEADLINES: Mapping[GateState, str] = {
    "passed": "Passed the gate",
    "refused": "Refused",
    "open": "Not judged yet",
}


@dataclass(frozen=True, slots=True)
class Digit:
    """One shown image."""

    row: int
    source: str | None
    """PNG data URI; None where the dataset is not at hand."""
    true: str | None
    """Name of the true class; None where it is not known."""
    predicted: str | None
    """Name of the predicted class; None where it is not known, or nothing was asked."""
    confidence: float | None = None

    @property
    def wrong(self) -> bool:
        return self.predicted is not None and self.predicted != self.true


@dataclass(frozen=True, slots=True)
class Shown:
    """The part of a list that a report shows, and how long the whole is."""

    digits: tuple[Digit, ...]
    total: int


def outcome(inputs: ReportInputs) -> GateState:
    if inputs.verdict is None:
        return "open"
    return "passed" if inputs.verdict.promoted else "refused"


def distinct_layers(history: TrainingHistory) -> list[Layer]:
    """The layers, but of the members of an ensemble, which are alike, only those of the first."""
    return [layer for layer in history.layers if not re.match(r"member_(?!1/)\d+/", layer.name)]


def shades(evaluation: Evaluation) -> list[list[int]]:
    """Level 0 to `SHADES` of each cell of the confusion matrix off the diagonal, in proportion to its count."""
    matrix = evaluation.confusion_matrix
    strongest = max(
        (number for true, row in enumerate(matrix) for predicted, number in enumerate(row) if true != predicted),
        default=0,
    )
    return [
        [math.ceil(SHADES * min(n, strongest) / strongest) if n and strongest else 0 for n in row] for row in matrix
    ]


def shown(inputs: ReportInputs, rows: Sequence[int], most: int = CHANGES_SHOWN) -> Shown:
    """The first ``most`` of the test rows, as images."""
    return Shown(read_digits(inputs.evaluation, inputs.images, inputs.labels, rows[:most]), len(rows))


def mistake_digits(inputs: ReportInputs) -> Shown:
    return shown(inputs, list(inputs.evaluation.wrong), MISTAKES_SHOWN)


def ordinary_digits(inputs: ReportInputs) -> tuple[Digit, ...]:
    return read_digits(inputs.evaluation, inputs.images, inputs.labels, ordinary_rows(inputs.evaluation))


def read_digits(
    evaluation: Evaluation, images: Mapping[int, Image], labels: Mapping[int, int], rows: Iterable[int]
) -> tuple[Digit, ...]:
    """Test rows, each with its image, its class and what it was read as.

    Args:
        evaluation: knows the mistakes.
        images: test row -> uint8 [28, 28].
        labels: test row -> true class index.
        rows: which are shown, in this order.
    """
    mistakes = evaluation.wrong

    def digit(row: int) -> Digit:
        names, mistake, label = evaluation.class_names, mistakes.get(row), labels.get(row)
        source = png_data_uri(images[row]) if row in images else None
        if mistake is not None:
            return Digit(row, source, names[mistake.true], names[mistake.predicted], mistake.confidence)
        name = None if label is None else names[label]
        return Digit(row, source, name, name)  # a row that is no mistake was read as what it is

    return tuple(digit(row) for row in rows)


def png_data_uri(image: Image) -> str:
    """A grey image, uint8 [height, width], as a PNG data URI."""
    buffer = io.BytesIO()
    PillowImage.fromarray(image).save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def flat_config(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted names and values as JSON, in the order of the config; addresses without their secrets."""
    for name, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from flat_config(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _without_secrets(json.dumps(value, ensure_ascii=False))


def _without_secrets(text: str) -> str:
    """Reports are published; passwords and signatures in addresses are not."""
    return re.sub(r"(://[^\s\"?]*)\?[^\s\"]*", r"\1?***", re.sub(r"://[^/\s\"]*@", "://***@", text))


def lineage(inputs: ReportInputs) -> list[tuple[str, str]]:
    """What was made from what: name and hex SHA-256."""
    evaluation, parity = inputs.evaluation, inputs.parity
    known = [
        ("dataset", evaluation.dataset_digest),
        (MODEL_KERAS, parity.keras_sha256),
        (MODEL_ONNX, parity.model_sha256),
    ]
    if inputs.comparison is not None:
        known.append((f"champion {inputs.comparison.champion_version}", inputs.comparison.champion_sha256))
    return known + [(name, digest) for name, digest in inputs.run.files.items() if name not in dict(known)]


def threshold(evaluation: Evaluation) -> float | None:
    """The confidence below which scoring answers "no digit"; None where the model states none."""
    return None if evaluation.rejection is None else evaluation.rejection.limits.confidence


def common_batches(a: Evaluation, b: Evaluation) -> list[tuple[Latency, Latency]]:
    """The latencies of two evaluations that were measured with the same number of images a call."""
    of_b = {one.batch: one for one in b.latency}
    return [(one, of_b[one.batch]) for one in a.latency if one.batch in of_b]
