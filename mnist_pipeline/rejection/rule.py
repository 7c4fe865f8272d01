"""When an answer is "no digit": the rule over what is known of an image. Pure."""

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.rejection.answers import NO_DIGIT, OK, REASON_NAMES, ConfidenceThreshold
from mnist_pipeline.rejection.model import ScoringModel

UNSURE = REASON_NAMES.index("confidence")
UNLIKE = REASON_NAMES.index("unlike")
DEFAULT_THRESHOLD = ConfidenceThreshold(value=0.5, source="default: more likely than everything else together")


def choose_threshold(min_confidence: float | None, model: ScoringModel) -> ConfidenceThreshold:
    """The option, else the model's own, else the default."""
    if min_confidence is not None:
        return ConfidenceThreshold(value=min_confidence, source="--min-confidence")
    return model.threshold or DEFAULT_THRESHOLD


def apply_threshold(rows: NDArray[np.void], threshold: ConfidenceThreshold) -> NDArray[np.void]:
    """The rows [n] of `ROW`, with every answer that is not sure, or to a strange image, turned into ``no_digit``."""
    judged = rows.copy()
    answered = rows["status"] == OK
    novel = answered & (rows["novelty"] > (np.inf if threshold.novelty is None else threshold.novelty))
    unsure = answered & (rows["probabilities"].max(axis=1) < threshold.value) & ~novel
    judged["status"][unsure | novel] = NO_DIGIT
    judged["reason"][unsure] = UNSURE
    # What was held against the reading says more than that it is unlike a digit.
    judged["reason"][novel & (rows["reason"] == 0)] = UNLIKE
    judged["reason"][judged["status"] == OK] = 0
    return judged
