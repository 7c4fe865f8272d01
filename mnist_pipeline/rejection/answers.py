"""The answers that an image can get, why one is "no digit", and from which confidence on it is a digit."""

from mnist_pipeline.schema import Record

OK, NO_DIGIT, ERROR = 0, 1, 2
STATUS_NAMES = ("ok", "no_digit", "error")

REASON_NAMES = ("", "blank", "noise", "several", "shape", "confidence", "unlike", "ambiguous", "outside")
"""Why an image is no digit; the index is what a row stores."""


class ConfidenceThreshold(Record):
    """Below which probability an answer becomes ``no_digit``."""

    value: float
    novelty: float | None = None
    """Above which it does, too; none: it does not matter."""
    false_reject_rate: float | None = None
    """Share of real digits that this rejects, measured on rows that no epoch was trained on."""
    source: str
    """Who says so: the option, or the model's own evaluation."""
