"""The gate: measurements in, verdict out. Pure.

Every check is computed and shown, whatever the others say; the candidate becomes champion only
if all pass.

Against the champion, on the same test images, a candidate is

- better, if it gets more images right: it passes. A gain need not be significant. The steps of a
  model that improves a little every week never are, and a rollback is one command;
- a tie, if it gets as many right, or fewer by no more than the margin and not significantly so (exact
  McNemar test on the paired predictions, McNemar 1947): it is refused unless ties are asked for. A
  retraining on the same data scatters around the champion, and a new version that brings nothing
  costs everybody who must know which one runs;
- worse, otherwise: it is refused. The margin forgives noise, never a loss that the test can see.

Where the candidate is the champion itself, there is nothing to compare.

A champion that was chosen among many candidates on the same test images owes part of its accuracy
to chance. The floors are there for the model; the comparison only says which of two to keep.
"""

from typing import Literal

from mnist_pipeline.config import GateConfig
from mnist_pipeline.evaluation.schema import Check, Comparison, Evaluation, Verdict
from mnist_pipeline.runs.parity import Parity
from mnist_pipeline.runs.wording import plain_percent as percent


def judge(
    config: GateConfig,
    evaluation: Evaluation,
    *,
    parity: Parity,
    comparison: Comparison | None,
    onnx_bytes: int,
    infrastructure: Check,
    withdrawal: Check | None = None,
) -> Verdict:
    """All checks of the candidate.

    Args:
        config: the thresholds.
        evaluation: the candidate on the test rows.
        parity: of the export.
        comparison: with the champion on the same rows; None where there is no champion.
        onnx_bytes: size of model.onnx.
        infrastructure: whether a fresh process could use the model where users load it.
        withdrawal: that a person decided against this candidate; None where nobody did.
    """
    checks = [
        _accuracy(config, evaluation),
        _worst_class(config, evaluation),
        _same_dataset(evaluation, comparison),
        _champion(config, evaluation, comparison),
        _parity(parity),
        _calibration(config, evaluation),
        *_latency(config, evaluation),
        *_size(config, onnx_bytes),
        infrastructure,
        *([withdrawal] if withdrawal else []),
    ]
    return Verdict(promoted=all(check.passed for check in checks), checks=checks)


def _accuracy(config: GateConfig, evaluation: Evaluation) -> Check:
    passed = evaluation.accuracy >= config.min_accuracy
    relation = "reaches" if passed else "is below"
    return Check(
        name="accuracy",
        value=evaluation.accuracy,
        threshold=config.min_accuracy,
        passed=passed,
        sentence=(
            f"Accuracy {percent(evaluation.accuracy)} ({evaluation.correct:,} of {evaluation.samples:,} test images) "
            f"{relation} the floor of {percent(config.min_accuracy)}."
        ),
    )


def _worst_class(config: GateConfig, evaluation: Evaluation) -> Check:
    worst = min((row for row in evaluation.per_class if row.samples), key=lambda row: row.accuracy)
    unseen = [row.name for row in evaluation.per_class if not row.samples]
    passed = worst.accuracy >= config.min_class_accuracy
    relation = "reaches" if passed else "is below"
    passed_over = f" Without test images, and not judged: {', '.join(unseen)}." if unseen else ""
    return Check(
        name="class accuracy",
        value=worst.accuracy,
        threshold=config.min_class_accuracy,
        passed=passed,
        sentence=(
            f"The worst class, {worst.name}, has an accuracy of {percent(worst.accuracy)} of {worst.samples:,} images "
            f"and {relation} the floor of {percent(config.min_class_accuracy)}.{passed_over}"
        ),
    )


def _same_dataset(evaluation: Evaluation, comparison: Comparison | None) -> Check:
    same = comparison is None or comparison.champion_dataset_digest == evaluation.dataset_digest
    if comparison is None:
        sentence = "There is no champion whose dataset could differ."
    elif same:
        sentence = f"Candidate and champion were trained on the same dataset, {evaluation.dataset}."
    else:
        digest = comparison.champion_dataset_digest[:12]
        other = f"dataset {digest}" if digest else "a dataset that its file does not name"
        sentence = (
            f"The champion was trained on {other}, the candidate on {evaluation.dataset} "
            f"({evaluation.dataset_digest[:12]}): publish it under another model name, or promote it by hand."
        )
    return Check(name="same dataset", value=None, threshold=None, passed=same, sentence=sentence)


def _champion(config: GateConfig, evaluation: Evaluation, comparison: Comparison | None) -> Check:
    if comparison is None or comparison.champion_sha256 == evaluation.model_sha256:
        nobody = "There is no champion to compare with." if comparison is None else "It is the champion itself."
        return Check(name="champion", value=None, threshold=None, passed=True, sentence=nobody)
    standing = _standing(config, comparison)
    follows = {
        "better": "better",
        "tie": f"a tie, and ties are {'asked for' if config.promote_ties else 'refused unless asked for'}",
        "worse": f"worse than the margin of {percent(config.champion_margin)} allows",
        "significantly worse": f"significantly worse (level {config.significance:g})",
    }
    return Check(
        name="champion",
        value=_gain(comparison),
        threshold=-config.champion_margin,
        passed=standing == "better" or (standing == "tie" and config.promote_ties),
        sentence=(
            f"Against champion {comparison.champion_version}: accuracy {percent(comparison.candidate_accuracy)} after "
            f"{percent(comparison.champion_accuracy)}, {len(comparison.fixed):,} images fixed and "
            f"{len(comparison.broken):,} broken, p = {comparison.p_value:.3g}: {follows[standing]}."
        ),
    )


def _standing(config: GateConfig, comparison: Comparison) -> Literal["better", "tie", "worse", "significantly worse"]:
    gain = _gain(comparison)
    if gain > 0:
        return "better"
    if gain < 0 and comparison.p_value < config.significance:
        return "significantly worse"
    return "tie" if gain >= -config.champion_margin else "worse"


def _gain(comparison: Comparison) -> float:
    """Accuracy gained against the champion, from counts: the difference of two rounded shares could miss zero."""
    return (len(comparison.fixed) - len(comparison.broken)) / comparison.samples


def _parity(parity: Parity) -> Check:
    relation = "within" if parity.passed else "outside"
    return Check(
        name="export parity",
        value=parity.max_abs_difference,
        threshold=parity.tolerance,
        passed=parity.passed,
        sentence=(
            f"On {parity.images:,} images, the probabilities of ONNX and Keras differ by at most "
            f"{parity.max_abs_difference:.1e} (answers that differ: {parity.argmax_differences:,}), {relation} "
            f"the tolerance of {parity.tolerance:.0e}."
        ),
    )


def _calibration(config: GateConfig, evaluation: Evaluation) -> Check:
    error, bound = evaluation.expected_calibration_error, config.max_calibration_error
    passed = error <= bound
    relation = "within" if passed else "above"
    return Check(
        name="calibration",
        value=error,
        threshold=bound,
        passed=passed,
        sentence=f"The calibration error {percent(error)} is {relation} the bound of {percent(bound)}.",
    )


def _latency(config: GateConfig, evaluation: Evaluation) -> list[Check]:
    if config.max_latency_ms is None:
        return []
    one = min(evaluation.latency, key=lambda row: row.batch)
    passed = one.median_ms <= config.max_latency_ms
    relation = "within" if passed else "above"
    return [
        Check(
            name="latency",
            value=one.median_ms,
            threshold=config.max_latency_ms,
            passed=passed,
            sentence=(
                f"One image takes {one.median_ms:.3g} ms (median of {one.calls:,} calls), {relation} the budget of "
                f"{config.max_latency_ms:.3g} ms."
            ),
        )
    ]


def _size(config: GateConfig, onnx_bytes: int) -> list[Check]:
    if config.max_bytes is None:
        return []
    passed = onnx_bytes <= config.max_bytes
    relation = "within" if passed else "above"
    return [
        Check(
            name="size",
            value=onnx_bytes,
            threshold=config.max_bytes,
            passed=passed,
            sentence=f"The ONNX file has {onnx_bytes:,} bytes, {relation} the budget of {config.max_bytes:,}.",
        )
    ]
