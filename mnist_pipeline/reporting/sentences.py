"""What the reports say in whole sentences. Pure.

HTML and Markdown both say it with these, so that they cannot say it differently.
"""

from collections.abc import Callable
from typing import Literal

from mnist_pipeline.evaluation.schema import Comparison, Evaluation, OwnTest, Verdict
from mnist_pipeline.reporting import format as fmt
from mnist_pipeline.reporting.inputs import ReportInputs, ordinary_rows
from mnist_pipeline.runs.parity import Parity
from mnist_pipeline.runs.training_history import Epoch, TrainingHistory

OVERFIT = 0.05
"""How far above its lowest a validation loss may end by chance."""
NO_DIGIT = "\N{LEFT DOUBLE QUOTATION MARK}no digit\N{RIGHT DOUBLE QUOTATION MARK}"


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


def ordinary_sentence(evaluation: Evaluation) -> str:
    """How the rows were chosen that show what the model mostly does, and how many of them it reads right."""
    rows = ordinary_rows(evaluation)
    wrong = len(evaluation.wrong.keys() & set(rows))
    return (
        f"{fmt.count(len(rows))} of the {fmt.count(evaluation.samples)} test images, taken at equal distances, "
        f"neither the best nor the worst: {fmt.count(len(rows) - wrong)} are read right, {fmt.count(wrong)} wrong."
    )


def champion_sentence(inputs: ReportInputs) -> str:
    """Of the comparison, or why it is missing."""
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
