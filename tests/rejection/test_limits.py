"""The limits of an answer: what they cost on right answers, and how the budget is divided."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_pipeline.rejection.limits import CONFIDENCE_SHARE, MOST_ASKED, NOVELTY, budget, choose_limits, turned_away


def answers(seed: int, rows: int = 1_000):
    """Labels, probabilities and novelty; right answers are surer and less new than wrong ones."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 10, rows).astype(np.uint8)
    logits = random.normal(0, 1, (rows, 10))
    logits[np.arange(rows), labels] += random.normal(6, 2, rows)
    powers = np.exp(logits)
    novelty = random.normal(-4, 3, rows).astype(np.float32)
    return labels, (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32), novelty


@given(st.integers(0, 1_000), st.sampled_from([0.0, 0.005, 0.02, 0.1, 0.4]))
def test_the_budget_is_kept_and_used_up(seed, target):
    labels, probabilities, novelty = answers(seed)
    found = choose_limits(labels, probabilities, novelty, target)
    assert found is not None
    right = probabilities.argmax(axis=1) == labels
    confidence = probabilities.max(axis=1)[right]
    refused = turned_away(found, confidence, novelty[right])
    assert found.turned_away == pytest.approx(refused.mean())
    spent = budget(target, int(right.sum()))
    assert refused.sum() <= spent
    asked = confidence < found.sure
    assert found.novelty == NOVELTY
    assert asked.mean() <= MOST_ASKED + 1 / right.sum()
    if asked.mean() < MOST_ASKED - 1 / right.sum():  # the budget ended it, and one more would exceed it
        assert refused.sum() >= spent - np.count_nonzero(confidence == found.sure)
    assert (confidence < found.confidence).sum() <= CONFIDENCE_SHARE * spent
    assert found.rows == len(labels)


def test_other_rows_of_the_same_kind_seldom_exceed_the_budget():
    exceeded = 0
    for seed in range(60):
        found = choose_limits(*answers(seed, 2_000), 0.02)
        assert found is not None
        labels, probabilities, novelty = answers(1_000 + seed, 4_000)
        right = probabilities.argmax(axis=1) == labels
        away = turned_away(found, probabilities.max(axis=1)[right], novelty[right])
        exceeded += away.mean() > 0.02
    assert exceeded <= 8  # 3 are expected, for one in twenty


def test_a_sure_answer_in_mnists_form_is_given_however_new_the_image_is():
    labels, probabilities, novelty = answers(1)
    found = choose_limits(labels, probabilities, novelty, 0.02)
    assert found is not None
    strange = np.full(3, found.novelty + 1, np.float32)
    confidence = np.array([found.sure, found.sure - 1e-3, found.confidence - 1e-3], np.float32)
    assert turned_away(found, confidence, strange).tolist() == [False, True, True]
    assert turned_away(found, confidence, strange - 2).tolist() == [False, False, True]


def test_where_no_answer_is_right_there_are_no_limits():
    _, probabilities, novelty = answers(2)
    assert choose_limits((probabilities.argmax(axis=1) + 1) % 10, probabilities, novelty, 0.02) is None
