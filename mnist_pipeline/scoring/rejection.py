"""When an answer is "no digit": the rule over what is known of an image. Pure."""

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.scoring.records import NO_DIGIT, OK, REASON_NAMES, ConfidenceThreshold

UNLIKELY = REASON_NAMES.index("confidence")
DEFAULT_THRESHOLD = ConfidenceThreshold(value=0.5, source="default: more likely than everything else together")


def apply_threshold(rows: NDArray[np.void], threshold: float) -> NDArray[np.void]:
    """The rows [n] of `ROW`, with every answer below ``threshold`` turned into ``no_digit``."""
    judged = rows.copy()
    low = (rows["status"] == OK) & (rows["probabilities"].max(axis=1) < threshold)
    judged["status"][low] = NO_DIGIT
    judged["reason"][low] = UNLIKELY
    return judged
