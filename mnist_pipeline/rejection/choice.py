"""Choose among the readings of a picture: the one that is most like a digit, unless good ones disagree. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.imaging.readings import OUTSIDE, Reading

AGREEMENT = 0.5
"""Readings this close to the best must name the same class, log-odds."""
OBJECTIONS = {"noise": 2.0, "shape": 2.0, "several": 4.0}
"""What an objection adds to the novelty of its reading, which may answer all the same."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The reading that answers for a picture.

    Attributes:
        index: of the reading; -1 without readings.
        novelty: of it, with all that speaks against it: the log-odds that it is none of the classes.
        reason: why the picture shows no digit whatever the limit of novelty is, or "".
        objection: of the reading: why, should its novelty exceed the limit, or "".
    """

    index: int
    novelty: float
    reason: str
    objection: str = ""


def choose(readings: Sequence[Reading], probabilities: NDArray[np.float32], novelty: NDArray[np.float32]) -> Choice:
    """The reading that is most like a digit.

    Args:
        readings: of one picture.
        probabilities: float32 [n, classes] of each.
        novelty: float32 [n] of each, the log-odds that it is none of the classes.

    Returns:
        With a reason where there is no reading (``blank``), where another that is about as much like a digit names
        another class (``ambiguous``), or where ink stands beside what encloses the digit (``outside``).
    """
    if not readings:
        return Choice(-1, np.inf, "blank")
    against = [reading.penalty + OBJECTIONS.get(reading.objection, 0.0) for reading in readings]
    costs = novelty + np.array(against, np.float32)
    best = int(costs.argmin())
    objection = readings[best].objection
    if objection == OUTSIDE:
        return Choice(best, float(costs[best]), OUTSIDE)
    classes = probabilities.argmax(axis=1)
    disagrees = (costs <= costs[best] + AGREEMENT) & (classes != classes[best])
    return Choice(best, float(costs[best]), "ambiguous" if disagrees.any() else "", objection)
