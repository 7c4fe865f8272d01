"""The gate: measurements in, verdict out. Pure.

Every check is computed and shown, whatever the others say; the candidate becomes champion only
if all pass.

Against the champion, on the same test images: the candidate is refused

- if it gets fewer images right and the loss is larger than the margin, or significant by the exact
  McNemar test on the paired predictions (McNemar 1947): a margin forgives noise, never a real loss;
- if it gets exactly as many right, unless ties are asked for: a new version that brings nothing
  costs everybody who must know which one runs.

A gain need not be significant: a weekly retraining that is a little better each time would never
pass such a test, and a rollback is one command.
"""

from mnist_pipeline.config import GateConfig
from mnist_pipeline.evaluation.schema import Check, Comparison, Evaluation, Verdict
from mnist_pipeline.records import Parity


def judge(
    config: GateConfig,
    evaluation: Evaluation,
    *,
    parity: Parity,
    comparison: Comparison | None,
    onnx_bytes: int,
    infrastructure: Check,
) -> Verdict:
    """All checks of the candidate.

    Args:
        config: the thresholds.
        evaluation: the candidate on the test rows.
        parity: of the export.
        comparison: with the champion on the same rows; None where there is no champion.
        onnx_bytes: size of model.onnx.
        infrastructure: whether a fresh process could use the staged model.
    """
    checks = [
        _accuracy(config, evaluation),
        _worst_class(config, evaluation),
        _same_dataset(evaluation, comparison),
        _champion(config, comparison),
        _parity(parity),
        _calibration(config, evaluation),
        *_latency(config, evaluation),
        *_size(config, onnx_bytes),
        infrastructure,
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
        sentence=f"Accuracy {evaluation.accuracy:.2%} {relation} the floor of {config.min_accuracy:.2%}.",
    )


def _worst_class(config: GateConfig, evaluation: Evaluation) -> Check:
    worst = min((row for row in evaluation.per_class if row.samples), key=lambda row: row.accuracy)
    passed = worst.accuracy >= config.min_class_accuracy
    relation = "reaches" if passed else "is below"
    return Check(
        name="class accuracy",
        value=worst.accuracy,
        threshold=config.min_class_accuracy,
        passed=passed,
        sentence=(
            f"The worst class, {worst.name}, has an accuracy of {worst.accuracy:.2%} "
            f"and {relation} the floor of {config.min_class_accuracy:.2%}."
        ),
    )


def _same_dataset(evaluation: Evaluation, comparison: Comparison | None) -> Check:
    same = comparison is None or comparison.champion_dataset_digest == evaluation.dataset_digest
    if comparison is None:
        sentence = "There is no champion whose dataset could differ."
    elif same:
        sentence = f"Candidate and champion were trained on the same dataset, {evaluation.dataset}."
    else:
        sentence = (
            f"The champion was trained on dataset {comparison.champion_dataset_digest[:12]}, the candidate on "
            f"{evaluation.dataset_digest[:12]}: publish it under another model name, or promote it by hand."
        )
    return Check(name="same dataset", value=None, threshold=None, passed=same, sentence=sentence)


def _champion(config: GateConfig, comparison: Comparison | None) -> Check:
    if comparison is None:
        return Check(
            name="champion", value=None, threshold=None, passed=True, sentence="There is no champion to compare with."
        )
    gained = len(comparison.fixed) - len(comparison.broken)
    difference = gained / comparison.samples
    significant = comparison.p_value < config.significance
    measured = (
        f"Against champion {comparison.champion_version}: {comparison.candidate_accuracy:.2%} after "
        f"{comparison.champion_accuracy:.2%}, {len(comparison.fixed)} images fixed, {len(comparison.broken)} broken, "
        f"p = {comparison.p_value:.3g}"
    )
    if gained == 0:
        passed = config.promote_ties
        follows = "a tie, and ties are asked for" if passed else "a tie, which does not promote"
    elif gained > 0:
        passed, follows = True, "better"
    else:
        passed = difference >= -config.champion_margin and not significant
        worse = "significantly worse" if significant else "worse"
        follows = f"worse, within the margin of {config.champion_margin:.2%}" if passed else worse
    return Check(
        name="champion",
        value=difference,
        threshold=-config.champion_margin,
        passed=passed,
        sentence=f"{measured}: {follows}.",
    )


def _parity(parity: Parity) -> Check:
    relation = "within" if parity.passed else "outside"
    return Check(
        name="export parity",
        value=parity.max_abs_difference,
        threshold=parity.tolerance,
        passed=parity.passed,
        sentence=(
            f"ONNX and Keras differ by at most {parity.max_abs_difference:.1e} on {parity.images} images, "
            f"with {parity.argmax_differences} different answers: {relation} the tolerance of {parity.tolerance:.0e}."
        ),
    )


def _calibration(config: GateConfig, evaluation: Evaluation) -> Check:
    error = evaluation.expected_calibration_error
    passed = error <= config.max_calibration_error
    relation = "within" if passed else "above"
    return Check(
        name="calibration",
        value=error,
        threshold=config.max_calibration_error,
        passed=passed,
        sentence=f"The calibration error {error:.2%} is {relation} the bound of {config.max_calibration_error:.2%}.",
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
                f"One image takes {one.median_ms:.2f} ms (median), {relation} the budget of "
                f"{config.max_latency_ms:.2f} ms."
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
