"""When is a training no better than chance?"""

import numpy as np
import pytest

from mnist_pipeline.errors import TrainingError
from mnist_pipeline.training.guards import chance_bound, check_learned


def labels(rows, frequent_share=0.1):
    frequent = round(rows * frequent_share)
    return np.array([0] * frequent + [1 + i % 9 for i in range(rows - frequent)], dtype=np.uint8)


def test_the_bound_is_the_99_percent_quantile_of_the_binomial():
    # scipy.stats.binom.ppf(0.99, 5000, 0.1), (0.99, 300, 0.2)
    assert chance_bound(labels(5_000)) == 550
    assert chance_bound(labels(300, 0.2)) == 77


def test_answering_always_the_most_frequent_class_is_chance():
    held_out = labels(1_000, 0.3)
    with pytest.raises(TrainingError, match="nothing was learned: 300 of 1000"):
        check_learned(0.3, held_out)


def test_just_above_the_bound_is_learning():
    held_out = labels(5_000)
    assert check_learned(551 / 5_000, held_out) == []
    with pytest.raises(TrainingError, match="up to 550"):
        check_learned(550 / 5_000, held_out)


@pytest.mark.parametrize("held_out", [np.array([4], np.uint8), np.full(50, 7, np.uint8)])
def test_rows_that_cannot_tell_are_noted_instead(held_out):
    assert "too few" in check_learned(0.0, held_out)[0]


def test_without_validation_rows_there_is_nothing_to_judge():
    assert check_learned(None, np.empty(0, np.uint8)) == []
