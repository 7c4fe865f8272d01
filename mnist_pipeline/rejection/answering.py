"""Answer for pictures: the flat reading first, the others where it leaves a doubt."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline import CLASSES, SIDE
from mnist_pipeline.imaging.levels import Grey
from mnist_pipeline.imaging.readings import Reading, read_flat, read_further
from mnist_pipeline.inference import Answers
from mnist_pipeline.rejection.choice import choose

FINAL = -1.0
"""A flat reading whose novelty is less, and against which nothing speaks, is the answer: no other is looked at."""


class Model(Protocol):
    """What classifies images in MNIST's form."""

    def answers(self, images: NDArray[np.uint8], batch_size: int = ...) -> Answers:
        """Probabilities float32 [N, 10], and novelty float32 [N] or None, for uint8 [N, 28, 28]."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What a picture shows.

    Attributes:
        image: uint8 [28, 28], the reading that answers; all 0 where there is none.
        probabilities: float32 [10]; all 0 where there is no reading.
        novelty: with all that speaks against the reading; minus infinity where the model does not tell.
        reason: why it is no digit whatever the limits are, or "".
        objection: why it is no digit, should its novelty exceed the limit, or "".
    """

    image: Grey
    probabilities: NDArray[np.float32]
    novelty: float
    reason: str
    objection: str = ""


BLANK = Answer(np.zeros((SIDE, SIDE), np.uint8), np.zeros(CLASSES, np.float32), -np.inf, "blank")


def answer(planes: Sequence[Grey], model: Model, whole: Callable[[int], Grey] | None = None) -> list[Answer]:
    """What each of the planes, uint8 [h, w] (0 = black, 255 = white), shows.

    A model that does not tell novelty cannot choose: it is asked about the flat reading alone.

    Args:
        planes: of the pictures; a first look is enough for most.
        model: what to ask.
        whole: makes a larger plane of a picture, named by its place, where the ink is too small for a first look; None
            means that there is none.
    """
    flat = [_list(read_flat(plane)) for plane in planes]
    found = _choose(flat, model)
    doubtful = [row for row, one in enumerate(found) if one.reason == "blank" or one.novelty >= FINAL]
    further = [_with_others(flat[row], read_further(planes[row], whole and partial(whole, row))) for row in doubtful]
    for row, one in zip(doubtful, _choose(further, model), strict=True):
        found[row] = one
    return found


def _with_others(flat: list[Reading], others: list[Reading]) -> list[Reading]:
    """Without those others that say the same of the same image, so that it is not classified twice."""
    said = {(reading.image.tobytes(), reading.objection) for reading in flat}
    return [*flat, *(reading for reading in others if (reading.image.tobytes(), reading.objection) not in said)]


def _list(reading: Reading | None) -> list[Reading]:
    return [] if reading is None else [reading]


def _choose(candidates: Sequence[Sequence[Reading]], model: Model) -> list[Answer]:
    """An answer for each list of readings; all of them are classified together."""
    images = [reading.image for readings in candidates for reading in readings]
    if not images:
        return [BLANK] * len(candidates)
    answers = model.answers(np.stack(images), batch_size=len(images))
    found: list[Answer] = []
    start = 0
    for readings in candidates:
        rows = slice(start, start + len(readings))
        start += len(readings)
        novelty = None if answers.novelty is None else answers.novelty[rows]
        found.append(_answer(readings, answers.probabilities[rows], novelty))
    return found


def _answer(
    readings: Sequence[Reading], probabilities: NDArray[np.float32], novelty: NDArray[np.float32] | None
) -> Answer:
    if not readings:
        return BLANK
    if novelty is None:
        return Answer(readings[0].image, probabilities[0], -np.inf, readings[0].objection)
    chosen = choose(readings, probabilities, novelty)
    best = chosen.index
    return Answer(readings[best].image, probabilities[best], chosen.novelty, chosen.reason, chosen.objection)
