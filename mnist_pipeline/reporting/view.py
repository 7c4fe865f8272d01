"""What the reports derive from their inputs: sentences, shown images, levels of shading. Pure.

HTML and Markdown both tell it with these, so that they cannot tell it differently.
"""

import base64
import io
import json
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from PIL import Image as PillowImage

from mnist_pipeline.evaluation.schema import Comparison, Evaluation, Latency, Mistake, OwnTest, Verdict
from mnist_pipeline.reporting import format as fmt
from mnist_pipeline.reporting.inputs import CHANGES_SHOWN, MISTAKES_SHOWN, Image, ReportInputs
from mnist_pipeline.runs.parity import Parity
from mnist_pipeline.runs.training_history import Epoch, Layer, TrainingHistory
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
    """One shown test image."""

    row: int
    source: str | None
    """PNG data URI; None where the dataset is not at hand."""
    true: str | None
    """Name of the true class; None where it is not known."""
    predicted: str | None
    """Name of the predicted class; None where it is not known."""
    confidence: float | None = None

    @property
    def wrong(self) -> bool:
        return self.predicted is not None and self.predicted != self.true


@dataclass(frozen=True, slots=True)
class Shown:
    """The part of a list that a report shows, and how long the whole is."""

    digits: tuple[Digit, ...]
    total: int


OVERFIT = 0.05
"""How far above its lowest a validation loss may end by chance."""


def outcome(inputs: ReportInputs) -> GateState:
    if inputs.verdict is None:
        return "open"
    return "passed" if inputs.verdict.promoted else "refused"


def fallback_warning(evaluation: Evaluation) -> str | None:
    """What a reader must know before any number; None where the dataset is the one that was asked for."""
    if not evaluation.fallback:
        return None
    return (
        "The dataset that was asked for could not be reached, and the small embedded set "
        f"\N{LEFT DOUBLE QUOTATION MARK}{evaluation.dataset}\N{RIGHT DOUBLE QUOTATION MARK} stood in for it. "
        "Every number below is about that set."
    )


def confidence_interval(evaluation: Evaluation) -> str:
    interval = evaluation.accuracy_interval
    return f"{fmt.percent(interval.low)} to {fmt.percent(interval.high)}"


def change_sentence(comparison: Comparison) -> str:
    """How the candidate stands against the champion, with the paired test."""
    difference = comparison.candidate_accuracy - comparison.champion_accuracy
    moved = f"{fmt.count(len(comparison.fixed))} fixed, {fmt.count(len(comparison.broken))} broken"
    return f"{fmt.points(difference)} points ({moved}; exact McNemar test: p {fmt.probability(comparison.p_value)})"


def curve_summary(history: TrainingHistory) -> str:
    """The learning curves in words: their text alternative."""
    if not history.epochs:
        return "No epoch was finished."
    first, last = history.epochs[0], history.epochs[-1]
    text = f"{history.members} members were trained one after the other. " if history.members > 1 else ""
    text += (
        f"Over {fmt.count(len(history.epochs))} epochs the training loss goes from {fmt.decimal(first.loss)} to "
        f"{fmt.decimal(last.loss)} and the training accuracy from {fmt.percent(first.accuracy)} to "
        f"{fmt.percent(last.accuracy)}."
    )
    kept = [epoch for epoch in history.epochs if epoch.epoch in history.best_epochs]
    text += f" {history.kept.capitalize()} {'was' if history.members == 1 else 'were'} kept"
    if any(epoch.val_accuracy is None for epoch in kept):
        return f"{text} without a test of overfitting: no validation rows were held out."
    text += (
        f", with a validation loss of {_range(kept, 'val_loss', fmt.decimal)} "
        f"and a validation accuracy of {_range(kept, 'val_accuracy', fmt.percent)}."
    )
    averaged = _averaged(history)
    if averaged and history.validation_accuracy is not None:
        text += f" That of the saved model, which averages {averaged}, is {fmt.percent(history.validation_accuracy)}."
    return text


def training_in_words(history: TrainingHistory) -> str:
    """The learning curves in words, and whether they tell of overfitting."""
    return f"{curve_summary(history)} {overfitting_sentence(history)}".rstrip()


def overfitting_sentence(history: TrainingHistory) -> str:
    """Whether the training overfits, and from which epoch on: the validation loss rises while the training loss falls.

    Empty where nothing is held out, which tells it. A rise of up to `OVERFIT` of the lowest validation loss is taken
    for chance.
    """
    if any(epoch.val_loss is None for epoch in history.epochs) or not history.epochs:
        return ""
    for member in range(1, history.members + 1):
        epochs = [epoch for epoch in history.epochs if epoch.member == member]
        lowest, last = min(epochs, key=lambda epoch: epoch.val_loss or 0), epochs[-1]
        low, end = lowest.val_loss or 0, last.val_loss or 0
        if end > low * (1 + OVERFIT) and last.loss < lowest.loss:
            who = f"Member {member}" if history.members > 1 else "It"
            return (
                f"{who} overfits from epoch {fmt.count(lowest.epoch + 1)} on: by the end the validation loss rises "
                f"from {fmt.decimal(low)} to {fmt.decimal(end)} while the training loss falls from "
                f"{fmt.decimal(lowest.loss)} to {fmt.decimal(last.loss)}."
            )
    return "It does not overfit: the validation loss ends at its lowest, or close to it."


def distinct_layers(history: TrainingHistory) -> list[Layer]:
    """The layers, but of the members of an ensemble, which are alike, only those of the first."""
    return [layer for layer in history.layers if not re.match(r"member_(?!1/)\d+/", layer.name)]


def _range(epochs: list[Epoch], figure: Literal["val_accuracy", "val_loss"], write: Callable[[float], str]) -> str:
    """The lowest and the highest of the figure, or the one that there is."""
    values = [getattr(epoch, figure) for epoch in epochs]
    low, high = write(min(values)), write(max(values))
    return low if low == high else f"{low} to {high}"


def _averaged(history: TrainingHistory) -> str:
    """What the saved model averages and the network of an epoch does not; empty where both are the same."""
    views = history.config.get("views", 1)
    parts = {"its members": history.members, f"{views} views of an image": views}
    return " and ".join(what for what, number in parts.items() if number > 1)


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


def example_digits(inputs: ReportInputs) -> Shown:
    return _shown(inputs, inputs.evaluation.examples, len(inputs.evaluation.examples))


def mistake_digits(inputs: ReportInputs) -> Shown:
    rows = [mistake.row for mistake in inputs.evaluation.mistakes]
    return _shown(inputs, rows, MISTAKES_SHOWN)


def fixed_digits(inputs: ReportInputs) -> Shown:
    return _shown(inputs, inputs.comparison.fixed if inputs.comparison else [], CHANGES_SHOWN)


def broken_digits(inputs: ReportInputs) -> Shown:
    return _shown(inputs, inputs.comparison.broken if inputs.comparison else [], CHANGES_SHOWN)


def changed_digits(wrong: ReportInputs, rows: Collection[int]) -> Shown:
    """The images of ``rows``, all of them mistakes of the run ``wrong``; its most confident first."""
    return _shown(wrong, [mistake.row for mistake in wrong.evaluation.mistakes if mistake.row in rows], CHANGES_SHOWN)


def _shown(inputs: ReportInputs, rows: list[int], most: int) -> Shown:
    mistakes = {mistake.row: mistake for mistake in inputs.evaluation.mistakes}
    return Shown(tuple(_digit(inputs, row, mistakes.get(row)) for row in rows[:most]), len(rows))


def _digit(inputs: ReportInputs, row: int, mistake: Mistake | None) -> Digit:
    names = inputs.evaluation.class_names
    image = inputs.images.get(row)
    source = None if image is None else png_data_uri(image)
    if mistake is not None:
        return Digit(row, source, names[mistake.true], names[mistake.predicted], mistake.confidence)
    label = inputs.labels.get(row)
    name = None if label is None else names[label]
    return Digit(row, source, name, name)  # a row that is no mistake was read as what it is


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


NO_DIGIT = "\N{LEFT DOUBLE QUOTATION MARK}no digit\N{RIGHT DOUBLE QUOTATION MARK}"


def champion_sentence(inputs: ReportInputs) -> str:
    """Of the comparison, or why there is none."""
    if inputs.comparison is not None:
        return change_sentence(inputs.comparison)
    if inputs.verdict is None:
        return "Not compared yet."
    return "There was no champion to compare with."


def correction_sentence(verdict: Verdict) -> str | None:
    """What repeated use of the test images does to the accuracy; None where it is not known."""
    if verdict.corrected_accuracy is None or verdict.compared < 2:
        return None
    return (
        f"{fmt.count(verdict.compared)} candidates were compared on these test images so far. Corrected for that, the "
        f"accuracy on other images is likely {fmt.percent(verdict.corrected_accuracy)}."
    )


def own_test_sentence(own: OwnTest) -> str:
    """What the own-test images, answered as scoring answers them, say of the model."""
    interval = own.accuracy_interval
    return (
        f"Of the {fmt.count(own.samples)} own-test images, none of which was trained on, "
        f"{fmt.percent(own.accuracy)} are answered right (95 % interval {fmt.percent(interval.low)} to "
        f"{fmt.percent(interval.high)}). Of {fmt.count(own.digits)} that show a digit, {fmt.count(own.digits_refused)} "
        f"are refused; of {fmt.count(own.no_digits)} that show none, {fmt.count(own.no_digits_refused)}."
    )


def threshold(evaluation: Evaluation) -> float | None:
    """The confidence below which scoring answers "no digit"; None where the model states none."""
    return None if evaluation.rejection is None else evaluation.rejection.limits.confidence


def rejection_sentence(evaluation: Evaluation) -> str:
    """When scoring answers "no digit": how that was chosen, and what it does to the test images."""
    found = evaluation.rejection
    if found is None:
        return f"The model states no limits for {NO_DIGIT}, because nothing was held out to choose them on."
    limits = found.limits
    text = (
        f"Scoring answers {NO_DIGIT} below a confidence of {fmt.decimal(limits.confidence, 3)}, and where a second "
        f"network in the model finds an image unlike any digit (novelty above {fmt.decimal(limits.novelty, 2)}): that "
        f"turns away {fmt.percent(limits.turned_away)} of the right answers on {fmt.count(limits.rows)} validation "
        f"images, and {fmt.percent(found.false_reject_rate)} of those on the test images."
    )
    reached = [point for point in evaluation.coverage if point.threshold <= limits.confidence]
    if reached:
        text += (
            f" At {fmt.decimal(reached[-1].threshold, 3)}, the nearest point below, "
            f"{fmt.percent(reached[-1].coverage)} of the test images are answered, "
            f"{fmt.percent(reached[-1].accuracy)} of them right."
        )
    return text


def other_champion_data(inputs: ReportInputs) -> str | None:
    """Said where the champion learnt from other data than this model; None where both learnt from the same."""
    comparison = inputs.comparison
    if comparison is None or comparison.champion_dataset_digest == inputs.evaluation.dataset_digest:
        return None
    digest = comparison.champion_dataset_digest[:12] or "which its file does not name"
    return f"The champion was trained on another dataset ({digest})."


def parity_sentence(parity: Parity) -> str:
    """The proof that the ONNX model says what the Keras model says."""
    differing = (
        f"{fmt.count(parity.argmax_differences)} answers differ" if parity.argmax_differences else "no answer differs"
    )
    return (
        f"{'Passed' if parity.passed else 'Failed'}: on {fmt.count(parity.images)} images the ONNX and the Keras model "
        f"were compared; {differing}, and no probability by more than {fmt.scientific(parity.max_abs_difference)} "
        f"(allowed: {fmt.scientific(parity.tolerance)})."
    )


def common_batches(a: Evaluation, b: Evaluation) -> list[tuple[Latency, Latency]]:
    """The latencies of two evaluations that were measured with the same number of images a call."""
    of_b = {one.batch: one for one in b.latency}
    return [(one, of_b[one.batch]) for one in a.latency if one.batch in of_b]
