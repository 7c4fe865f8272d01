"""What a series of candidates says: tests that hold however often they are made, and accuracies less luck."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist_pipeline.config import GateConfig
from mnist_pipeline.evaluation.metrics import mcnemar
from mnist_pipeline.publishing.evidence import (
    NORMAL,
    Pairs,
    corrected_accuracy,
    log_evidence,
    loss_p_value,
    score_variance,
    share_of_level,
)
from mnist_pipeline.publishing.policies import not_worse, significant

pytestmark = pytest.mark.quick
CONFIG = GateConfig()
NO_GAIN = Pairs(35, 36)


def gaining(candidates: int) -> list[Pairs]:
    """0.05 points a quarter, evenly."""
    return [Pairs(35 + round(week * 5 / 26), 36 - round(week * 5 / 26)) for week in range(1, candidates + 1)]


def test_the_level_is_spread_over_all_candidates_that_will_ever_come():
    shares = [share_of_level(number) for number in range(1, 100_000)]
    assert 0.999 < sum(shares) < 1
    assert sum(shares[:52]) == pytest.approx(0.5)


@pytest.mark.parametrize("discordant", [1, 2, 10, 71])
def test_evidence_of_one_candidate_is_at_most_one_on_average_where_nothing_was_gained(discordant):
    # Each discordant image falls to either side with probability 1/2.
    mean = sum(
        math.comb(discordant, fixed) / 2**discordant * math.exp(log_evidence([Pairs(fixed, discordant - fixed)]))
        for fixed in range(discordant + 1)
    )
    assert 0.8 < mean <= 1


def test_a_champion_with_bad_luck_is_not_news_every_week():
    # Nine images better, every week: a sum over the weeks would be 7.7 standard deviations from zero.
    always = [Pairs(40, 31)] * 52
    assert math.exp(log_evidence(always)) < 1
    assert not significant(CONFIG, always[0], 10_000, always[1:]).passed


def test_slow_progress_adds_up_though_no_candidate_is_significant_by_itself():
    weeks = gaining(30)
    first = next(n for n in range(1, 31) if significant(CONFIG, weeks[n - 1], 10_000, weeks[: n - 1]).passed)
    assert 20 <= first <= 28
    assert mcnemar(*weeks[first - 1]) > 0.05
    assert "with the 2" in significant(CONFIG, weeks[first - 1], 10_000, weeks[: first - 1]).why


def test_the_order_of_the_candidates_counts():
    weeks = gaining(28)
    assert log_evidence(weeks) > math.log(30)
    assert log_evidence(weeks[::-1]) < 0


def test_a_great_gain_passes_at_once_and_none_never():
    assert significant(CONFIG, Pairs(60, 11), 10_000, []) == (
        True,
        "better, and by more than chance (level 9e-05 for each candidate)",
    )
    assert significant(CONFIG, Pairs(48, 22), 10_000, [NO_GAIN] * 3).why == (
        "perhaps better by chance alone (with the 3 before it: evidence 18, asked 22.2)"
    )
    assert significant(CONFIG, Pairs(20, 20), 10_000, gaining(30)) == (False, "no gain")
    assert significant(CONFIG, Pairs(20, 60), 10_000, gaining(30)).why == "significantly worse (level 0.05)"


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 80), st.integers(0, 80)), min_size=1, max_size=60))
def test_evidence_is_a_number_whatever_was_counted(counts):
    assert math.isfinite(log_evidence([Pairs(*pair) for pair in counts]))


def test_the_score_test_of_a_loss_is_that_of_its_paper_and_of_mcnemar():
    # Tango 1998, chemical and thermal disinfection of soft contact lenses: z = 1.709.
    assert loss_p_value(Pairs(0, 0), 100, 5e-324) == loss_p_value(Pairs(0, 0), 100, 0) == 0.5
    assert NORMAL.inv_cdf(1 - loss_p_value(Pairs(0, 1), 44, 0.1)) == pytest.approx(1.709, abs=0.001)
    assert loss_p_value(Pairs(20, 10), 100, 0) == pytest.approx(1 - NORMAL.cdf(10 / math.sqrt(30)))


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 60), st.integers(0, 60), st.floats(0, 0.2), st.floats(0, 0.2))
def test_a_greater_margin_never_makes_a_loss_more_likely(fixed, broken, one, other):
    low, high = sorted((one, other))
    assert loss_p_value(Pairs(fixed, broken), 1_000, low) >= loss_p_value(Pairs(fixed, broken), 1_000, high) - 1e-9


@pytest.mark.parametrize(
    ("pairs", "passed", "why"),
    [
        (Pairs(35, 36), True, "equivalent within the margin of 0.20 % (p = 0.0146)"),
        (Pairs(30, 40), False, "a loss of more than the margin of 0.20 % is not ruled out (p = 0.12)"),
        (Pairs(60, 20), True, "not worse by more than the margin of 0.20 % (p = 2.34e-10), and perhaps better"),
    ],
)
def test_retraining_on_newer_data_passes_where_a_loss_beyond_the_margin_is_ruled_out(pairs, passed, why):
    assert not_worse(CONFIG, pairs, 10_000, []) == (passed, why)


def test_the_best_of_many_equal_candidates_is_drawn_to_their_mean():
    luck = [0.9925 + 0.0006 * NORMAL.inv_cdf((rank + 0.5) / 13) for rank in (6, 1, 11, 3, 8, 0, 12, 5, 9, 2, 7, 4, 10)]
    variance = score_variance([NO_GAIN]) / 10_000**2
    assert corrected_accuracy(0.9939, luck, variance) == pytest.approx(0.9927, abs=0.0001)
    assert corrected_accuracy(0.9915, luck, variance) == 0.9915
    assert corrected_accuracy(0.9939, [], variance) == 0.9939


def test_a_real_leap_is_not_taken_for_luck():
    variance = score_variance([NO_GAIN]) / 10_000**2
    corrected = corrected_accuracy(0.9962, [0.9925] * 13, variance)
    assert 0.9962 - 2 * math.sqrt(variance) < corrected < 0.9962
