"""Which of several readings answers, and when none does."""

import numpy as np
import pytest

from mnist_pipeline.imaging.readings import Reading
from mnist_pipeline.rejection.choice import OBJECTIONS, choose

BLANK = np.zeros((28, 28), np.uint8)


def reading(penalty: float = 0.0, objection: str = "") -> Reading:
    return Reading(BLANK, "flat", penalty, objection)


def of(*classes: int) -> np.ndarray:
    return np.eye(10, dtype=np.float32)[list(classes)] * 0.9 + 0.01


def novelty(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_without_a_reading_the_picture_is_blank():
    assert choose([], of(), novelty()).reason == "blank"


def test_the_reading_that_is_most_like_a_digit_answers():
    found = choose([reading(), reading(), reading()], of(1, 2, 3), novelty(0, -5, -1))
    assert (found.index, found.novelty, found.reason) == (1, -5, "")


def test_a_penalty_counts_as_novelty():
    found = choose([reading(), reading(3)], of(1, 2), novelty(-3, -5))
    assert (found.index, found.novelty, found.reason) == (0, -3, "")


def test_good_readings_that_disagree_make_it_ambiguous():
    assert choose([reading(), reading(3)], of(1, 2), novelty(-3, -5.8)).reason == "ambiguous"
    assert choose([reading(), reading(3)], of(2, 2), novelty(-3, -5.8)).reason == ""
    assert choose([reading(), reading()], of(1, 2), novelty(-3, -1)).reason == ""


@pytest.mark.parametrize("objection", OBJECTIONS)
def test_a_reading_with_an_objection_answers_only_if_it_is_very_like_a_digit(objection):
    against = reading(objection=objection)
    cost = choose([against], of(1), novelty(-1)).novelty
    assert cost > -1
    assert choose([against, reading()], of(1, 2), novelty(-1, -0.9)).index == 1


def test_ink_beside_what_encloses_a_digit_refuses_whatever_it_is_like():
    assert choose([reading(objection="outside")], of(1), novelty(-30)).reason == "outside"
    assert choose([reading(objection="outside"), reading()], of(1, 2), novelty(-9, -3)).reason == "outside"
