"""Answer for pictures: the flat reading first, the others where it leaves a doubt."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from typing import NamedTuple, Protocol

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
        image: uint8 [28, 28], the reading that answers; all 0 where no reading does.
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
            means that no larger one can be had.
    """
    flat = _ask([_list(read_flat(plane)) for plane in planes], model)
    found = [_answer(readings) for readings in flat]
    doubtful = [row for row, one in enumerate(found) if one.reason == "blank" or one.novelty >= FINAL]
    others = [_others(flat[row], read_further(planes[row], whole and partial(whole, row))) for row in doubtful]
    for row, more in zip(doubtful, _ask(others, model), strict=True):
        found[row] = _answer(flat[row] + more)
    return found


class _Asked(NamedTuple):
    """A reading, and what the model says of it."""

    reading: Reading
    probabilities: NDArray[np.float32]
    novelty: np.float32 | None


def _list(reading: Reading | None) -> list[Reading]:
    return [] if reading is None else [reading]


def _others(flat: list[_Asked], others: list[Reading]) -> list[Reading]:
    """Without those that say the same of the same image as the flat reading."""
    said = [(one.reading.image.tobytes(), one.reading.objection) for one in flat]
    return [reading for reading in others if (reading.image.tobytes(), reading.objection) not in said]


def _ask(candidates: Sequence[Sequence[Reading]], model: Model) -> list[list[_Asked]]:
    """What the model says of each reading in each list; all of them are classified together."""
    images = [reading.image for readings in candidates for reading in readings]
    if not images:
        return [[] for _ in candidates]
    answers = model.answers(np.stack(images), batch_size=len(images))
    told = zip(answers.probabilities, repeat(None) if answers.novelty is None else answers.novelty, strict=False)
    return [[_Asked(reading, *next(told)) for reading in readings] for readings in candidates]


def _answer(asked: Sequence[_Asked]) -> Answer:
    if not asked:
        return BLANK
    readings, probabilities, novelty = zip(*asked, strict=True)
    if novelty[0] is None:
        return Answer(readings[0].image, probabilities[0], -np.inf, readings[0].objection)
    chosen = choose(readings, np.stack(probabilities), np.array(novelty, np.float32))
    best = chosen.index
    return Answer(readings[best].image, probabilities[best], chosen.novelty, chosen.reason, chosen.objection)
