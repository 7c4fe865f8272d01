"""When an answer is "no digit": the rule over what is known of an image. Pure."""

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.rejection.answers import NO_DIGIT, OK, REASON_NAMES, ConfidenceThreshold

UNSURE = REASON_NAMES.index("confidence")
UNLIKE = REASON_NAMES.index("unlike")
DEFAULT_THRESHOLD = ConfidenceThreshold(value=0.5, source="default: more likely than everything else together")


def apply_threshold(rows: NDArray[np.void], threshold: ConfidenceThreshold) -> NDArray[np.void]:
    """The rows [n] of `ROW`, with every answer that is not sure, or to a strange image, turned into ``no_digit``."""
    judged = rows.copy()
    answered = rows["status"] == OK
    if threshold.strangeness is not None:
        _turn_away(judged, answered & (rows["strangeness"] > threshold.strangeness), UNLIKE)
    _turn_away(judged, answered & (rows["probabilities"].max(axis=1) < threshold.value), UNSURE)
    return judged


def _turn_away(rows: NDArray[np.void], which: NDArray[np.bool_], reason: int) -> None:
    rows["status"][which] = NO_DIGIT
    rows["reason"][which] = reason
