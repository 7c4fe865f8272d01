"""Has the training learned anything? Pure."""

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
    right = np.arange(rows)
    # Each probability is the one before it times this; logarithms, because the first ones are too small for a float.
    steps = np.log((rows - right) / (right + 1) * share / (1 - share))
    probabilities = np.exp(rows * np.log1p(-share) + np.concatenate([[0], np.cumsum(steps)]))
    return min(int(np.searchsorted(np.cumsum(probabilities), CONFIDENCE)), rows)
