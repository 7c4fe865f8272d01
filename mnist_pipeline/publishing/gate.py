"""The gate: measurements in, verdict out. Pure.

Every check is computed and shown, whatever the others say; the candidate becomes champion only
if all pass.

What a candidate needs against the champion, on the same test images, is the matter of a policy
(`policies`). Where the candidate is the champion itself, there is nothing to compare.
"""

from collections.abc import Sequence
from typing import NamedTuple

from mnist_pipeline.config import GateConfig
from mnist_pipeline.evaluation.schema import Check, Comparison, Evaluation, OwnComparison, Verdict
from mnist_pipeline.publishing.evidence import Pairs, corrected_accuracy, score_variance
from mnist_pipeline.publishing.policies import POLICIES, is_significantly_worse
from mnist_pipeline.registry import AgainstChampion
from mnist_pipeline.runs.parity import Parity
from mnist_pipeline.runs.wording import plain_percent as percent
from mnist_pipeline.runs.wording import quantity

CHAMPION_CHECK = "champion"


class Past(NamedTuple):
    """The candidates before, on the same test images."""

    challengers: Sequence[Pairs] = ()
    """Of the sound ones that stood against today's champion, oldest first."""
    accuracies: Sequence[float] = ()
    """Of all, oldest first."""


NOTHING_BEFORE = Past()


def judge(
    config: GateConfig,
    evaluation: Evaluation,
    *,
    parity: Parity,
    comparison: Comparison | None,
    onnx_bytes: int,
    infrastructure: Check,
    withdrawal: Check | None = None,
    past: Past = NOTHING_BEFORE,
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
        past: the candidates before this one.
    """
    checks = [
        _accuracy(config, evaluation),
        _worst_class(config, evaluation),
        _same_dataset(evaluation, comparison),
        _champion(config, evaluation, comparison, past),
        _parity(parity),
        _calibration(config, evaluation),
        *_latency(config, evaluation),
        *_size(config, onnx_bytes),
        *_own_test(config, evaluation, comparison),
        infrastructure,
        *([withdrawal] if withdrawal else []),
    ]
    return Verdict(
        promoted=all(check.passed for check in checks),
        checks=checks,
        compared=len(past.accuracies) + 1,
        corrected_accuracy=_corrected(evaluation, comparison, past),
    )


def against_champion(config: GateConfig, verdict: Verdict, comparison: Comparison) -> AgainstChampion:
    """What later candidates are told of this one: it is evidence where nothing was wrong with itself, and it was not
    clearly worse.
    """
    of_itself = all(check.passed for check in verdict.checks if check.name != CHAMPION_CHECK)
    pairs = pairs_of(comparison)
    return AgainstChampion(
        champion=comparison.champion_version,
        fixed=pairs.fixed,
        broken=pairs.broken,
        sound=of_itself and not is_significantly_worse(config, pairs),
    )


def pairs_of(comparison: Comparison) -> Pairs:
    return Pairs(len(comparison.fixed), len(comparison.broken))


def _corrected(evaluation: Evaluation, comparison: Comparison | None, past: Past) -> float | None:
    """None without a comparison, which tells how much trainings scatter."""
    if comparison is None:
        return None
    variance = score_variance([*past.challengers, pairs_of(comparison)]) / comparison.samples**2
    return corrected_accuracy(evaluation.accuracy, past.accuracies, variance)


def _accuracy(config: GateConfig, evaluation: Evaluation) -> Check:
    accuracy, right = evaluation.accuracy, f"{evaluation.correct:,} of {evaluation.samples:,} test images"
    return _floor("accuracy", accuracy, config.min_accuracy, f"Accuracy {percent(accuracy)} ({right})")


def _worst_class(config: GateConfig, evaluation: Evaluation) -> Check:
    worst = min((row for row in evaluation.per_class if row.samples), key=lambda row: row.accuracy)
    reached = f"{percent(worst.accuracy)} of {quantity(worst.samples, 'image')}"
    unseen = [row.name for row in evaluation.per_class if not row.samples]
    passed_over = f" Without test images, and not judged: {', '.join(unseen)}." if unseen else ""
    said = f"The worst class, {worst.name}, has an accuracy of {reached} and"
    return _floor("class accuracy", worst.accuracy, config.min_class_accuracy, said, passed_over)


def _floor(name: str, value: float, floor: float, subject: str, more: str = "") -> Check:
    """That a share is large enough."""
    passed = value >= floor
    sentence = f"{subject} {'reaches' if passed else 'is below'} the floor of {percent(floor)}.{more}"
    return Check(name=name, value=value, threshold=floor, passed=passed, sentence=sentence)


def _bound(name: str, value: float, bound: float, subject: str, said: str) -> Check:
    """That something is small enough."""
    passed = value <= bound
    sentence = f"{subject} {'within' if passed else 'above'} the {said}."
    return Check(name=name, value=value, threshold=bound, passed=passed, sentence=sentence)


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


def _champion(config: GateConfig, evaluation: Evaluation, comparison: Comparison | None, past: Past) -> Check:
    if comparison is None or comparison.champion_sha256 == evaluation.model_sha256:
        nobody = "There is no champion to compare with." if comparison is None else "It is the champion itself."
        return Check(name=CHAMPION_CHECK, value=None, threshold=None, passed=True, sentence=nobody)
    pairs, policy = pairs_of(comparison), config.policy or "better"
    ruling = POLICIES[policy](config, pairs, comparison.samples, past.challengers)
    return Check(
        name=CHAMPION_CHECK,
        value=pairs.gain / comparison.samples,
        threshold={"better": -config.champion_margin, "significant": 0.0, "not_worse": -config.margin}[policy],
        passed=ruling.passed,
        sentence=(
            f"Against champion {comparison.champion_version}: accuracy {percent(comparison.candidate_accuracy)} after "
            f"{percent(comparison.champion_accuracy)}, {quantity(pairs.fixed, 'image')} fixed and "
            f"{pairs.broken:,} broken, p = {comparison.p_value:.3g}: {ruling.why}."
        ),
    )


def _own_test(config: GateConfig, evaluation: Evaluation, comparison: Comparison | None) -> list[Check]:
    """The floor where one is set, and no significant loss where there is a champion, whatever the policy."""
    own, floor = evaluation.own_test, config.min_own_test_accuracy
    if own is None:
        return []
    checks = []
    if floor is not None:
        said = f"On the own-test images, accuracy {percent(own.accuracy)} (of {own.samples:,})"
        checks.append(_floor("own-test accuracy", own.accuracy, floor, said))
    if comparison and comparison.own_test:
        checks.append(_own_test_loss(config, comparison.champion_version, comparison.own_test))
    return checks


def _own_test_loss(config: GateConfig, champion: str, own: OwnComparison) -> Check:
    pairs = Pairs(len(own.fixed), len(own.broken))
    worse = is_significantly_worse(config, pairs)
    relation = "significantly worse" if worse else "not significantly worse"
    return Check(
        name="own test",
        value=pairs.gain / own.samples,
        threshold=None,
        passed=not worse,
        sentence=(
            f"On the {quantity(own.samples, 'own-test image')}, against champion {champion}: "
            f"{quantity(pairs.fixed, 'image')} fixed and "
            f"{pairs.broken:,} broken, p = {own.p_value:.3g}: {relation} (level {config.significance:g})."
        ),
    )


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
    said = f"The calibration error {percent(error)} is"
    return _bound("calibration", error, bound, said, f"bound of {percent(bound)}")


def _latency(config: GateConfig, evaluation: Evaluation) -> list[Check]:
    if (budget := config.max_latency_ms) is None:
        return []
    one = min(evaluation.latency, key=lambda row: row.batch)
    said = f"One image takes {one.median_ms:.3g} ms (median of {one.calls:,} calls),"
    return [_bound("latency", one.median_ms, budget, said, f"budget of {budget:.3g} ms")]


def _size(config: GateConfig, onnx_bytes: int) -> list[Check]:
    if (budget := config.max_bytes) is None:
        return []
    return [_bound("size", onnx_bytes, budget, f"The ONNX file has {onnx_bytes:,} bytes,", f"budget of {budget:,}")]
