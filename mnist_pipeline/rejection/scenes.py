"""Scenes drawn from train digits: what people hand in, and what each shows. Pure; random numbers are the caller's.

They show how a picture's readings go wrong, so that limits can be chosen and bad readings learnt. What judges the
result draws its own, by other parameters (benchmarks/forms.py).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.imaging import painting
from mnist_pipeline.rejection import scenes_of_none as none
from mnist_pipeline.rejection import scenes_of_one as one
from mnist_pipeline.rejection.sheet import Sheet

Draw = Callable[[Sheet], None]
ONE_DIGIT: dict[str, Draw] = {
    "plain": one.plain,
    "tight": one.tight,
    "small": one.small,
    "stretched": one.stretched,
    "hollow": one.hollow,
    "dotted": one.dotted,
    "broken": one.broken,
    "gradient": one.gradient,
    "shadow": one.shadow,
    "circled": one.circled,
    "boxed": one.boxed,
    "cell": one.cell,
    "ruled": one.ruled,
    "underlined": one.underlined,
    "specks": one.specks,
    "neighbours": one.neighbours,
    "axes": one.axes,
    "canvas": one.canvas,
}
NO_DIGIT: dict[str, Draw] = {
    "several": none.several,
    "sign": none.sign,
    "struck out": none.struck_out,
    "scribble": none.scribble,
    "word": none.word,
    "nothing": none.nothing,
}
KINDS = ONE_DIGIT | NO_DIGIT


@dataclass(frozen=True, slots=True)
class Scene:
    """A drawn picture and what it shows.

    Attributes:
        kind: of the scene, a key of `KINDS`.
        plane: uint8 [h, w], 0 = black, 255 = white.
        label: of the one digit; None where it shows no digit, or more than one.
        row: of the digit among those that the scenes are drawn from; None without a label.
        written: uint8 [h', w']: the digit alone as this pen wrote it, black on white with a margin; None without one.
    """

    kind: str
    plane: NDArray[np.uint8]
    label: int | None
    row: int | None
    written: NDArray[np.uint8] | None


def scenes(
    digits: NDArray[np.uint8], labels: NDArray[np.uint8], count: int, random: np.random.Generator
) -> list[Scene]:
    """``count`` scenes of all `KINDS` in turn, about 1 ms each.

    Args:
        digits: uint8 [n, 28, 28], train rows in MNIST's form.
        labels: uint8 [n].
        count: how many.
        random: numbers.
    """
    names = list(KINDS)
    return [draw(names[number % len(names)], digits, labels, random) for number in range(count)]


def draw(kind: str, digits: NDArray[np.uint8], labels: NDArray[np.uint8], random: np.random.Generator) -> Scene:
    """One scene of a kind; arguments as `scenes`."""
    sheet = Sheet(digits, random)
    KINDS[kind](sheet)
    written = None
    if sheet.shows_one:
        alone = painting.write(digits[sheet.row], 80) if kind in {"axes", "canvas"} else sheet.digit
        margin = max(4, max(alone.shape) // 4)
        written = (255 * (1 - np.pad(alone, margin))).astype(np.uint8)
    painting.put(sheet.ink, sheet.digit, sheet.middle)
    paper = np.full(sheet.ink.shape, sheet.grey, np.float32)
    noise = random.standard_normal(sheet.shape, np.float32)
    noise *= random.choice([0, 2, 5, 10])
    blur = float(random.choice([0, 0, 0.6, 0.02 * sheet.unit]))
    plane = painting.expose(paper, sheet.ink, sheet.pen, light=sheet.light, blur=blur, noise=noise)
    label, row = (int(labels[sheet.row]), sheet.row) if sheet.shows_one else (None, None)
    return Scene(kind, plane, label, row, written)
