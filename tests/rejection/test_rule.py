"""The confidence that is written, and when it makes an answer none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_pipeline.rejection.answers import NO_DIGIT, OK, REASON_NAMES, ConfidenceThreshold
from mnist_pipeline.rejection.rule import apply_threshold, confidences
from mnist_pipeline.scoring.results import ROW

NEVER_ASKED = -np.inf


def rows(*answers: tuple[float, float]) -> np.ndarray:
    """Rows of answers: the probability of a 3, and novelty."""
    found = np.zeros(len(answers), ROW)
    found["status"] = OK
    for row, (probability, novelty) in zip(found, answers, strict=True):
        row["probabilities"][3], row["novelty"] = probability, novelty
    return found


def test_the_confidence_is_the_probability_of_the_digit_times_that_of_being_one():
    found = confidences(rows((0.8, 0.0), (1.0, np.log(3)), (0.9, -np.log(9)), (0.5, 500), (0.5, -500)))
    np.testing.assert_allclose(found, [0.4, 0.25, 0.81, 0, 0.5], atol=1e-6)


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=20))
def test_where_novelty_was_not_asked_for_the_confidence_is_the_probability_bit_for_bit(probabilities):
    found = confidences(rows(*((one, NEVER_ASKED) for one in probabilities)))
    assert found.tobytes() == np.array(probabilities, np.float32).tobytes()


@pytest.mark.parametrize(
    ("probability", "novelty", "threshold", "reason"),
    [
        (0.9, 0.9, ConfidenceThreshold(value=0.5, novelty=1.0, source="the model"), ""),
        (0.9, 1.1, ConfidenceThreshold(value=0.5, novelty=1.0, source="the model"), "unlike"),
        (0.4, 0.9, ConfidenceThreshold(value=0.5, novelty=1.0, source="the model"), "confidence"),
        (0.9, 0.0, ConfidenceThreshold(value=0.5, source="the option"), "confidence"),
        (0.9, -1.0, ConfidenceThreshold(value=0.5, source="the option"), ""),
        (0.6, NEVER_ASKED, ConfidenceThreshold(value=0.5, source="the option"), ""),
    ],
)
def test_a_limit_of_the_option_is_one_of_the_confidence_that_is_written(probability, novelty, threshold, reason):
    judged = apply_threshold(rows((probability, novelty)), threshold)[0]
    assert REASON_NAMES[judged["reason"]] == reason
    assert judged["status"] == (NO_DIGIT if reason else OK)
