"""What an evaluation stores of the rule for "no digit"."""

from mnist_pipeline.inference import AnswerLimits
from mnist_pipeline.schema import Record


class Rejection(Record):
    """The limits that the model file states, and what they do to test images."""

    limits: AnswerLimits
    false_reject_rate: float
    """Share of the right answers to test images that the limits turn away."""
    wrong_answers_kept: int
    """Wrong answers to test images that they let through."""
