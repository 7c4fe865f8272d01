"""The answers that an image can get, why one is "no digit", and from which confidence on it is a digit."""

from collections.abc import Mapping
from types import MappingProxyType

from mnist_pipeline.schema import Record

OK, NO_DIGIT, ERROR = 0, 1, 2
STATUS_NAMES = ("ok", "no_digit", "error")

REASON_NAMES = ("", "blank", "noise", "several", "shape", "confidence", "unlike", "ambiguous", "outside")
"""Why an image is no digit; the index is what a row stores."""
REASON_SENTENCES: Mapping[str, str] = MappingProxyType(
    {
        "blank": "there is no ink on it",
        "noise": "the ink is in too many pieces",
        "several": "there are several pieces: more than one digit, or a sign beside one",
        "shape": "the ink is too flat or too small for a digit",
        "confidence": "the most probable digit is not probable enough",
        "unlike": "it looks like none of the digits",
        "ambiguous": "it can be read as two different digits",
        "outside": "there is other ink beside what encloses the digit",
    }
)
"""What a reason means, for people."""


class ConfidenceThreshold(Record):
    """Below which probability an answer becomes ``no_digit``."""

    value: float
    novelty: float | None = None
    """Above which it does, too; None means that it does not matter."""
    false_reject_rate: float | None = None
    """Share of real digits that this rejects, measured on rows that no epoch was trained on."""
    source: str
    """Who says so: the option, or the model's own evaluation."""
