"""The gate: what each check asks, what it says, and what follows from all of them together."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mnist_pipeline.config import GateConfig
from mnist_pipeline.evaluation import metrics
from mnist_pipeline.evaluation.schema import Check, Comparison, Latency, OwnComparison, OwnTest, Verdict
from mnist_pipeline.publishing.evidence import Pairs
from mnist_pipeline.publishing.gate import Past, judge
from mnist_pipeline.runs.wording import quantity
from tests.support.reports import sample_evaluation, sample_parity

SOUND = Check(name="infrastructure", value=0.0, threshold=1e-5, passed=True, sentence="A fresh process agrees.")
BROKEN = Check(name="infrastructure", value=0.5, threshold=1e-5, passed=False, sentence="A fresh process disagrees.")
PARITY = sample_parity()
DATASET = "3d" * 32


def against(fixed: int, broken: int, samples: int = 10_000, digest: str = DATASET) -> Comparison:
    """A comparison with so many images fixed and broken."""
    right = samples - 300
    return Comparison(
        champion_version="20261101-7be1c04d",
        champion_sha256="c7" * 32,
        champion_dataset_digest=digest,
        samples=samples,
        candidate_accuracy=(right + fixed - broken) / samples,
        champion_accuracy=right / samples,
        fixed=list(range(fixed)),
        broken=list(range(1_000, 1_000 + broken)),
        p_value=metrics.mcnemar(fixed, broken),
        per_class=[],
    )


@pytest.fixture(scope="module")
def decide() -> Callable[..., Verdict]:
    """Judges the sample evaluation: 9,895 of 10,000 right, worst class Nine with 989 of 1,009."""

    def run(comparison: Comparison | None = None, gate: dict[str, Any] | None = None, **changes: Any) -> Verdict:
        return judge(
            GateConfig(**(gate or {})),
            sample_evaluation(**changes.pop("evaluation", {})),
            parity=changes.pop("parity", PARITY),
            comparison=comparison,
            onnx_bytes=changes.pop("onnx_bytes", 25_312),
            infrastructure=changes.pop("infrastructure", SOUND),
            past=changes.pop("past", Past()),
        )

    return run


def check(verdict: Verdict, name: str) -> Check:
    (found,) = [one for one in verdict.checks if one.name == name]
    return found


def test_a_good_first_candidate_is_promoted_and_every_check_says_why(decide):
    verdict = decide()

    assert verdict.promoted
    assert verdict.reasons == []
    assert [one.name for one in verdict.checks] == [
        "accuracy",
        "class accuracy",
        "same dataset",
        "champion",
        "export parity",
        "calibration",
        "infrastructure",
    ]
    assert all(one.sentence.endswith(".") for one in verdict.checks)
    assert check(verdict, "champion").sentence == "There is no champion to compare with."
    assert check(verdict, "accuracy").sentence == (
        "Accuracy 98.95 % (9,895 of 10,000 test images) reaches the floor of 90.00 %."
    )


def test_everything_that_fails_is_shown_and_not_only_the_first(decide):
    verdict = decide(
        against(fixed=2, broken=40, digest="99" * 32),
        gate={"min_accuracy": 0.995, "min_class_accuracy": 0.99, "max_calibration_error": 0.001}
        | {"max_latency_ms": 0.1, "max_bytes": 20_000},
        parity=PARITY.model_copy(update={"passed": False, "max_abs_difference": 0.25, "argmax_differences": 3}),
        infrastructure=BROKEN,
    )

    assert not verdict.promoted
    assert len(verdict.checks) == len(verdict.reasons) == 9
    assert verdict.reasons == [one.sentence for one in verdict.checks]
    assert check(verdict, "infrastructure") == BROKEN


@pytest.mark.parametrize(
    ("gate", "name", "sentence"),
    [
        (
            {"min_accuracy": 0.99},
            "accuracy",
            "Accuracy 98.95 % (9,895 of 10,000 test images) is below the floor of 99.00 %.",
        ),
        (
            {"min_class_accuracy": 0.985},
            "class accuracy",
            "The worst class, Nine, has an accuracy of 98.02 % of 1,009 images and is below the floor of 98.50 %.",
        ),
        (
            {"max_calibration_error": 0.001},
            "calibration",
            "The calibration error 0.38 % is above the bound of 0.10 %.",
        ),
        (
            {"max_latency_ms": 0.14},
            "latency",
            "One image takes 0.143 ms (median of 200 calls), above the budget of 0.14 ms.",
        ),
        ({"max_bytes": 25_311}, "size", "The ONNX file has 25,312 bytes, above the budget of 25,311."),
    ],
)
def test_each_threshold_refuses_by_itself_and_says_by_what(decide, gate, name, sentence):
    verdict = decide(gate=gate)

    assert not verdict.promoted
    assert [one.name for one in verdict.checks if not one.passed] == [name]
    assert verdict.reasons == [sentence]
    assert check(verdict, name).threshold == next(iter(gate.values()))


@pytest.mark.parametrize(
    "gate",
    [
        {"min_accuracy": 0.9895},
        {"min_class_accuracy": 989 / 1_009},
        {"max_calibration_error": 0.003_812},
        {"max_latency_ms": 0.1432},
        {"max_bytes": 25_312},
    ],
)
def test_what_is_exactly_reached_is_reached(decide, gate):
    assert decide(gate=gate).promoted


def test_budgets_that_nobody_set_are_not_shown(decide):
    assert {one.name for one in decide().checks}.isdisjoint({"latency", "size"})


def test_the_latency_budget_is_that_of_one_image_whatever_the_order(decide):
    latency = [
        Latency(batch=1_024, calls=9, median_ms=30, p95_ms=31),
        Latency(batch=1, calls=9, median_ms=0.5, p95_ms=900),
    ]
    verdict = decide(gate={"max_latency_ms": 1}, evaluation={"latency": latency})
    assert (check(verdict, "latency").value, verdict.promoted) == (0.5, True)


def test_failed_parity_and_failed_infrastructure_refuse(decide):
    different = PARITY.model_copy(update={"passed": False, "argmax_differences": 1})

    (reason,) = decide(parity=different).reasons
    assert reason == (
        "On 1,000 images, the probabilities of ONNX and Keras differ by at most 1.8e-07 (answers that differ: 1), "
        "outside the tolerance of 1e-05."
    )
    assert decide(infrastructure=BROKEN).reasons == [BROKEN.sentence]


def test_a_class_without_test_images_is_named_and_does_not_hide_the_worst(decide):
    rows = sample_evaluation().per_class
    unseen = rows[3].model_copy(update={"samples": 0, "accuracy": 0.0, "recall": 0.0})

    found = check(decide(evaluation={"per_class": [*rows[:3], unseen, *rows[4:]]}), "class accuracy")

    assert found.passed
    assert found.sentence.startswith("The worst class, Nine,")
    assert found.sentence.endswith("Without test images, and not judged: Three.")


def test_a_champion_of_another_dataset_is_never_replaced_however_good_the_candidate(decide):
    verdict = decide(against(fixed=200, broken=0, digest="9a" * 32))

    assert not verdict.promoted
    assert check(verdict, "champion").passed
    (reason,) = verdict.reasons
    assert reason == (
        "The champion was trained on dataset 9a9a9a9a9a9a, the candidate on mnist (3d3d3d3d3d3d): "
        "publish it under another model name, or promote it by hand."
    )


def test_a_champion_whose_dataset_is_unknown_is_not_replaced_either(decide):
    (reason,) = decide(against(fixed=5, broken=0, digest="")).reasons
    assert reason.startswith("The champion was trained on a dataset that its file does not name,")


@pytest.mark.parametrize(
    ("fixed", "broken", "gate", "promoted", "says"),
    [
        (11, 10, {}, True, "better."),
        (1, 0, {}, True, "better."),
        (10, 10, {}, False, "a tie, and ties are refused unless asked for."),
        (0, 0, {}, False, "a tie, and ties are refused unless asked for."),
        (10, 10, {"promote_ties": True}, True, "a tie, and ties are asked for."),
        (10, 11, {}, False, "worse than the margin of 0.00 % allows."),
        (10, 11, {"promote_ties": True}, False, "worse than the margin of 0.00 % allows."),
        (50, 57, {"promote_ties": True, "champion_margin": 0.0007}, True, "a tie, and ties are asked for."),
        (50, 58, {"promote_ties": True, "champion_margin": 0.0007}, False, "worse than the margin of 0.07 % allows."),
        (0, 6, {"promote_ties": True, "champion_margin": 0.01}, False, "significantly worse (level 0.05)."),
        (0, 5, {"promote_ties": True, "champion_margin": 0.01}, True, "a tie, and ties are asked for."),
        (0, 6, {"promote_ties": True, "champion_margin": 0.01, "significance": 0.01}, True, "a tie, and ties are"),
        (300, 200, {}, True, "better."),
    ],
)
def test_better_passes_ties_when_asked_for_and_worse_never(decide, fixed, broken, gate, promoted, says):
    comparison = against(fixed, broken)

    verdict = decide(comparison, gate=gate)

    found = check(verdict, "champion")
    assert verdict.promoted == found.passed == promoted
    assert says in found.sentence
    assert found.value == (fixed - broken) / 10_000
    assert f"{quantity(fixed, 'image')} fixed and {broken} broken, p = {comparison.p_value:.3g}" in found.sentence


@settings(max_examples=150, deadline=None)
@given(
    fixed=st.integers(0, 60),
    broken=st.integers(0, 60),
    ties=st.booleans(),
    margin=st.floats(0, 0.02),
    level=st.floats(0.001, 0.5),
)
def test_one_more_image_right_never_turns_a_pass_into_a_refusal(decide, fixed, broken, ties, margin, level):
    gate = {"promote_ties": ties, "champion_margin": margin if ties else 0.0, "significance": level}

    if decide(against(fixed, broken), gate=gate).promoted:
        assert decide(against(fixed + 1, broken), gate=gate).promoted
        if broken:
            assert decide(against(fixed, broken - 1), gate=gate).promoted


def test_a_margin_for_ties_that_are_refused_is_itself_refused():
    with pytest.raises(ValidationError, match="needs promote_ties=true"):
        GateConfig(champion_margin=0.001)
    assert GateConfig(champion_margin=0.001, promote_ties=True).champion_margin == 0.001


def own_test(right: int, samples: int = 100) -> OwnTest:
    """So many of the own-test images right."""
    return OwnTest(
        samples=samples,
        accuracy=right / samples,
        accuracy_interval=metrics.wilson_interval(right, samples),
        per_class=[],
        confusion_matrix=[],
        digits=samples,
        digits_refused=0,
        no_digits=0,
        no_digits_refused=0,
        mistakes=[],
    )


def own_comparison(fixed: int, broken: int) -> OwnComparison:
    names = [f"{number:064x}" for number in range(fixed + broken)]
    return OwnComparison(samples=100, fixed=names[:fixed], broken=names[fixed:], p_value=metrics.mcnemar(fixed, broken))


@pytest.mark.parametrize(
    ("fixed", "broken", "promoted", "says"),
    [(0, 6, False, "significantly worse (level 0.05)"), (2, 7, True, "not significantly worse (level 0.05)")],
)
def test_who_is_better_on_the_test_images_and_worse_on_own_ones_is_refused(decide, fixed, broken, promoted, says):
    comparison = against(300, 0).model_copy(update={"own_test": own_comparison(fixed, broken)})

    verdict = decide(comparison, evaluation={"own_test": own_test(90)})

    found = check(verdict, "own test")
    assert verdict.promoted == found.passed == promoted
    assert found.value == (fixed - broken) / 100
    assert found.sentence == (
        f"On the 100 own-test images, against champion 20261101-7be1c04d: {fixed} images fixed and {broken} broken, "
        f"p = {metrics.mcnemar(fixed, broken):.3g}: {says}."
    )


def test_the_floor_of_own_test_images_refuses_where_it_is_set(decide):
    evaluation = {"own_test": own_test(90)}
    (reason,) = decide(gate={"min_own_test_accuracy": 0.905}, evaluation=evaluation).reasons
    assert reason == "On the own-test images, accuracy 90.00 % (of 100) is below the floor of 90.50 %."
    assert decide(gate={"min_own_test_accuracy": 0.9}, evaluation=evaluation).promoted
    assert decide(gate={"min_own_test_accuracy": 0.9}).promoted


def test_each_policy_decides_by_its_own_rule_and_by_what_came_before(decide):
    small = against(40, 31)
    assert decide(small).promoted
    assert not decide(small, gate={"policy": "significant"}).promoted
    assert decide(small, gate={"policy": "not_worse"}).promoted
    weeks = [Pairs(35 + week // 4, 36 - week // 4) for week in range(32)]
    past = Past(challengers=weeks, accuracies=[0.97] * 40)
    verdict = decide(against(44, 27), gate={"policy": "significant"}, past=past)
    assert verdict.promoted
    assert (verdict.compared, verdict.corrected_accuracy < 0.9895) == (41, True)


def test_a_verdict_is_read_back_from_its_json_unchanged(decide):
    verdict = decide(against(fixed=3, broken=9), infrastructure=BROKEN)
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict
