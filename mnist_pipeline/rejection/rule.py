"""When an answer is "no digit": the rule over what is known of an image. Pure."""

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.inference.contract import AnswerLimits
from mnist_pipeline.rejection.answers import NO_DIGIT, OK, REASON_NAMES, ConfidenceThreshold
from mnist_pipeline.rejection.model import ScoringModel

UNSURE = REASON_NAMES.index("confidence")
UNLIKE = REASON_NAMES.index("unlike")
LARGEST_LOGIT = np.float32(80)
"""Its exponential is finite in float32."""
DEFAULT_THRESHOLD = ConfidenceThreshold(value=0.5, source="default: more likely than everything else together")


def choose_threshold(min_confidence: float | None, model: ScoringModel) -> ConfidenceThreshold:
    """The option, else the model's own, else the default."""
    if min_confidence is not None:
        return ConfidenceThreshold(value=min_confidence, source="--min-confidence")
    return model.threshold or DEFAULT_THRESHOLD


def stated_threshold(limits: AnswerLimits | None) -> ConfidenceThreshold | None:
    """The limits that a model states in its metadata, as a threshold; None where it states none."""
    if limits is None:
        return None
    return ConfidenceThreshold(
        value=limits.confidence,
        novelty=limits.novelty,
        false_reject_rate=limits.turned_away,
        source=f"the model's own, chosen on {limits.rows} validation rows",
    )


def confidences(rows: NDArray[np.void]) -> NDArray[np.float32]:
    """float32 [n]: how sure it is that the image of each row of `ROW` shows its most probable digit.

    The probability of that digit among the ten, times that of being a digit at all, which is the logistic function of
    minus novelty. Where novelty was not asked for (minus infinity), it is the first factor, bit for bit.
    """
    likely = np.ascontiguousarray(rows["probabilities"]).max(axis=1, initial=0)
    odds_of_none = np.exp(np.minimum(rows["novelty"], LARGEST_LOGIT))
    return np.asarray(likely / (1 + odds_of_none), np.float32)


def apply_threshold(rows: NDArray[np.void], threshold: ConfidenceThreshold) -> NDArray[np.void]:
    """The rows [n] of `ROW`, with every answer that is not sure, or to a strange image, turned into ``no_digit``."""
    judged = rows.copy()
    answered = rows["status"] == OK
    novel = answered & (rows["novelty"] > (np.inf if threshold.novelty is None else threshold.novelty))
    # A limit of novelty judges one factor of the confidence by itself; the other is left.
    sure = confidences(rows) if threshold.novelty is None else rows["probabilities"].max(axis=1)
    unsure = answered & (sure < threshold.value) & ~novel
    judged["status"][unsure | novel] = NO_DIGIT
    judged["reason"][unsure] = UNSURE
    # What was held against the reading says more than that it is unlike a digit.
    judged["reason"][novel & (rows["reason"] == 0)] = UNLIKE
    judged["reason"][judged["status"] == OK] = 0
    return judged
