"""Has the training learned anything? Pure."""

import math

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.errors import TrainingError

CONFIDENCE = 0.99


def check_learned(accuracy: float | None, labels: NDArray[np.uint8]) -> list[str]:
    """Notes on what the accuracy on the held-out ``labels`` cannot tell; empty where it tells enough.

    Raises:
        TrainingError: the accuracy is no better than chance.
    """
    if accuracy is None:
        return []
    bound = chance_bound(labels)
    if bound == len(labels):
        return [f"{len(labels)} validation rows are too few to tell learning from luck"]
    if round(accuracy * len(labels)) <= bound:
        raise TrainingError(
            f"nothing was learned: {round(accuracy * len(labels))} of {len(labels)} validation rows are right, and "
            f"always guessing the most frequent class reaches up to {bound} (99 % bound); "
            "check the labels and the learning rate"
        )
    return []


def chance_bound(labels: NDArray[np.uint8]) -> int:
    """The most right answers on ``labels`` that guessing reaches with a probability of at least 99 %.

    Guessing is to answer the most frequent class always, which is the best that a model can do
    that has learned nothing; the number of its right answers on rows drawn like these is
    binomial. Where the bound is ``len(labels)``, the rows are too few to tell learning from luck.
    """
    rows = len(labels)
    share = float(np.bincount(labels).max() / rows)
    if share == 1:
        return rows
    below = 0.0
    for right in range(rows + 1):
        below += math.exp(_log_binomial(rows, right, share))
        if below >= CONFIDENCE:
            return right
    return rows


def _log_binomial(rows: int, right: int, share: float) -> float:
    """Natural logarithm of the binomial probability."""
    choices = math.lgamma(rows + 1) - math.lgamma(right + 1) - math.lgamma(rows - right + 1)
    return choices + right * math.log(share) + (rows - right) * math.log1p(-share)
