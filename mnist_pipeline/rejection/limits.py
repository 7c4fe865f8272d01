"""Choose when an answer counts, on validation rows. Pure.

Two things are held against an answer: that the model is not sure, and that the image looks like no digit. The budget,
a share of the right answers on validation rows, is divided between them.
"""

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.inference import AnswerLimits

NOVELTY = 0.9
"""The greatest novelty of an answer, log-odds that the image is not the digit that is named. It is made for pictures
that have to be read, which are seldom as clear as those that come in MNIST's form: of 2,400 scenes drawn from train
rows, 93 % of those with a digit are answered below it, 1 % wrongly, and 4 % of those without (preset `standard`; from
0.75 to 1 each of these shares rises by less than a quarter of a point)."""
CONFIDENCE_SHARE = 0.1
"""Of the budget. On printed letters the two rules did about as well with any share from 0 to 0.5; to images that
people make themselves, a right answer is more often unsure than the image is strange."""
SURELY = 1.645
"""Standard deviations that the limits stay below the budget, so that other rows of the same kind, the test rows for
one, exceed it in one case of twenty."""
MOST_ASKED = 0.2
"""Of the right answers: at most so many are asked about novelty although they came in MNIST's form. To ask about all of
them would slow scoring by a third; the letters that it would find besides are few."""


def choose_limits(
    labels: NDArray[np.uint8], probabilities: NDArray[np.float32], novelty: NDArray[np.float32], target: float
) -> AnswerLimits | None:
    """The limits that turn away at most the share ``target`` of the right answers, on other rows as well.

    Images in MNIST's form are asked about novelty up to that confidence at which the budget is used up.

    Args:
        labels: uint8 [n], of validation rows; never of test rows.
        probabilities: float32 [n, classes], of the model for the same rows.
        novelty: float32 [n], likewise.
        target: accepted false-reject rate, in [0, 1).

    Returns:
        None where no answer is right.
    """
    right = probabilities.argmax(axis=1) == labels
    if not right.any():
        return None
    confidence, strange = probabilities.max(axis=1)[right], novelty[right]
    spent = budget(target, len(confidence))
    least = float(np.sort(confidence)[int(CONFIDENCE_SHARE * spent)])
    allowed = spent - int(np.count_nonzero(confidence < least))
    turned = np.sort(confidence[(confidence >= least) & (strange > NOVELTY)])
    unsure = float(np.quantile(confidence, MOST_ASKED))
    sure = min(unsure, float(turned[allowed])) if allowed < len(turned) else unsure
    limits = AnswerLimits(confidence=least, novelty=NOVELTY, sure=sure, turned_away=0, rows=len(labels))
    return limits.model_copy(update={"turned_away": float(turned_away(limits, confidence, strange).mean())})


def budget(target: float, rows: int) -> int:
    """How many of ``rows`` right answers may be turned away, so that of others hardly more than ``target`` are.

    The number of rows that a limit turns away is about a Poisson variable.
    """
    expected = target * rows
    return max(0, int(expected - SURELY * expected**0.5))


def turned_away(
    limits: AnswerLimits, confidence: NDArray[np.float32], novelty: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Which images in MNIST's form get no answer, bool [n].

    Args:
        limits: of the model.
        confidence: float32 [n], the greatest probability of each.
        novelty: float32 [n].
    """
    unsure = confidence < limits.confidence
    strange: NDArray[np.bool_] = (novelty > limits.novelty) & (confidence < limits.sure)
    return unsure | strange
