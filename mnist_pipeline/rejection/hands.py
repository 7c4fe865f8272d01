"""Digits as people write them, and MNIST's writers seldom did: flags and feet, bars, loops, corners, fine pens. Pure.

They are drawn as strokes, or onto train rows. Random numbers come from the caller.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline import SIDE
from mnist_pipeline.imaging import drawing
from mnist_pipeline.imaging.drawing import INK, Canvas
from mnist_pipeline.imaging.painting import rounded
from mnist_pipeline.rejection.negatives import a_pen, by_hand

Random = np.random.Generator
Points = Sequence[tuple[float, float]]
"""x and y in a box of height 1; y grows downward."""
HEIGHT = 21.0
"""Font units of such a box, as the stroke fonts have them."""
STEEP = 0.65
"""A flag falls at least so far for its width; a flatter one is the top of a 7."""
LEAST_HEIGHT = 40
"""Height of the ink of a train row that is drawn onto, canvas pixels."""
FLAGGED, FOOTED, BARRED = 0.5, 0.2, 0.3
"""Shares of the 1s that get a flag and a foot, and of the 7s that get a bar, where train rows are drawn on."""


def written(random: Random) -> tuple[Canvas, int]:
    """A digit drawn as strokes, and its class; every second time a kind that is easily misread."""
    label = int(random.choice([1, 1, 1, 2, 4, 7, 9])) if random.random() < 0.5 else int(random.integers(10))
    strokes = tuple((rounded(np.array(stroke)) * HEIGHT).astype(np.float32) for stroke in SHAPES[label](random))
    return drawing.draw_strokes(by_hand(strokes, random, unsteadiness=0.025), a_pen(random)), label


def embellished(canvas: Canvas, label: int, random: Random) -> Canvas:
    """A train row on a canvas: some 1s with a flag and a foot, some 7s with a bar, all else as it is."""
    share = random.random()
    ink = canvas > INK
    rows = np.flatnonzero(ink.any(axis=1))
    if label not in {1, 7} or share > (FLAGGED if label == 1 else BARRED) or rows.size < LEAST_HEIGHT:
        return canvas
    drawn, top, bottom = canvas.copy(), int(rows[0]), int(rows[-1])
    height = bottom - top
    pen = max(2, round(np.count_nonzero(ink) / height * random.uniform(0.6, 1.0)))
    if label == 7:
        row = top + round(height * random.uniform(0.4, 0.6))
        middle = float(np.flatnonzero(ink[row]).mean()) if ink[row].any() else canvas.shape[1] / 2
        half = height * random.uniform(0.15, 0.3)
        drawing.line(drawn, (middle - half, row + random.normal(0, 2)), (middle + half, row), min(pen, 10))
        return drawn
    start = float(np.flatnonzero(ink[top + pen // 2]).mean())
    wide = height * random.uniform(0.12, 0.4)
    tall = max(STEEP * wide, height * random.uniform(0.08, 0.35))
    drawing.line(drawn, (start - wide, top + pen / 2 + tall), (start, top + pen / 2), pen)
    if share < FOOTED:
        end = float(np.flatnonzero(ink[bottom - pen // 2]).mean())
        half = height * random.uniform(0.12, 0.35)
        drawing.line(drawn, (end - half, bottom - pen / 2), (end + half, bottom - pen / 2), pen)
    return drawn


def other_hands(
    images: NDArray[np.uint8], labels: NDArray[np.uint8], count: int, random: Random, written_share: float
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """``count`` digits by other hands and pens than the train rows': uint8 [count, 28, 28], and labels uint8 [count].

    Args:
        images: uint8 [n, 28, 28] of train rows; may be a memory map.
        labels: uint8 [n].
        count: how many.
        random: numbers.
        written_share: of these, drawn as strokes; the others are train rows by other pens.
    """
    drawn = np.empty((count, SIDE, SIDE), np.uint8)
    classes = np.empty(count, np.uint8)
    done = 0
    while done < count:
        if random.random() < written_share:
            canvas, label = written(random)
        else:
            row = int(random.integers(len(images)))
            label = int(labels[row])
            canvas = drawing.other_pen(embellished(drawing.enlarge(images[row]), label, random), random)
        image = drawing.in_form(canvas)
        if image is not None:
            drawn[done], classes[done] = image, label
            done += 1
    return drawn, classes


def _either(random: Random, *variants: list[Points]) -> list[Points]:
    return variants[int(random.integers(len(variants)))]


def _zero(random: Random) -> list[Points]:
    wide, gap = random.uniform(0.22, 0.45), random.uniform(-0.12, 0.1)
    turns = np.linspace(0.1, 2 * np.pi + gap, 14) - np.pi / 2
    return [[(0.4 + wide * float(np.cos(turn)), 0.5 + 0.5 * float(np.sin(turn))) for turn in turns]]


def _one(random: Random) -> list[Points]:
    wide, lean = random.uniform(0.12, 0.5), random.normal(0, 0.05)
    tall = wide * random.uniform(STEEP, 1.4)
    top = (0.5, 0.0)
    stem: Points = [top, (0.5 - lean, 1.0)]
    flag: Points = [(0.5 - wide, tall), top, top]
    bent: Points = [(0.5 - wide, tall), (0.5 - 0.4 * wide, 0.5 * tall), top, top, (0.5 - lean, 1.0)]
    half = random.uniform(0.12, 0.42)
    foot: Points = [(0.5 - lean - half, 1.0), (0.5 - lean + half, 1.0)]
    return _either(random, [stem], [flag, stem], [bent], [bent], [bent, foot], [flag, stem, foot])


def _two(random: Random) -> list[Points]:
    head: Points = [(0.05, 0.3), (0.15, 0.02), (0.6, -0.02), (0.75, 0.25), (0.55, 0.6)]
    size = random.uniform(0.08, 0.2)
    loop: Points = [(0.2, 0.95), (0.02, 1.0), (0.02, 1 - size), (0.25, 1 - size), (0.45, 0.97), (0.8, 0.95)]
    sharp: Points = [(0.02, 1.0), (0.02, 1.0), (0.02, 1.0), (0.8, 1.0 - random.uniform(0, 0.1))]
    return _either(random, [[*head, *loop]], [[*head, *sharp]])


def _three(random: Random) -> list[Points]:
    low: Points = [(0.72, 0.55), (0.75, 0.9), (0.4, 1.02), (0.02, 0.88)]
    flat: Points = [(0.05, 0.0), (0.65, 0.0), (0.65, 0.0), (0.65, 0.0), (0.3, 0.4), (0.4, 0.42), *low]
    round_: Points = [(0.05, 0.12), (0.35, -0.03), (0.7, 0.12), (0.6, 0.4), (0.3, 0.47), (0.3, 0.47), *low]
    return _either(random, [flat], [round_], [round_])


def _four(random: Random) -> list[Points]:
    level, start = random.uniform(0.5, 0.75), random.uniform(0.0, 0.4)
    stem: Points = [(0.55, start), (0.5, 1.0)]
    left: Points = [(random.uniform(0.05, 0.4), 0.0), (0.0, level), (0.0, level), (0.8, level - 0.03)]
    closed: Points = [(0.5, 1.0), (0.55, 0.0), (0.55, 0.0), (0.0, level), (0.0, level), (0.8, level)]
    return _either(random, [left, stem], [left, stem], [closed])


def _five(random: Random) -> list[Points]:
    bow: Points = [(0.3, 0.36), (0.75, 0.5), (0.75, 0.9), (0.35, 1.02), (0.0, 0.9)]
    back: Points = [(0.18, 0.0), (0.1, 0.45), (0.1, 0.45), (0.1, 0.45), *bow]
    roof: Points = [(0.18, random.uniform(-0.04, 0.06)), (0.75, 0.0)]
    return _either(random, [back, roof], [[(0.75, 0.0), (0.18, 0.02), (0.18, 0.02), *back[1:]]])


def _six(random: Random) -> list[Points]:
    size = random.uniform(0.4, 0.6)
    return [
        [(0.6, 0.0), (0.15, 0.35), (0.0, 0.8), (0.3, 1.05), (0.68, 0.85), (0.5, 1 - size), (0.1, 0.75), (0.05, 0.85)]
    ]


def _seven(random: Random) -> list[Points]:
    foot = random.uniform(0.1, 0.4)
    roof: Points = [(0.0, random.uniform(-0.03, 0.08)), (0.65, 0.0), (0.65, 0.0), (0.65, 0.0), (foot + 0.1, 0.5)]
    leg: Points = [*roof, (foot, 1.0)]
    bar: Points = [(foot - 0.15, 0.52), (foot + 0.4, 0.5)]
    serif: Points = [(0.0, 0.0), (-0.02, random.uniform(0.1, 0.2))]
    return _either(random, [leg], [leg, bar], [leg, bar], [leg, serif])


def _eight(random: Random) -> list[Points]:
    waist, top = random.uniform(0.4, 0.5), random.uniform(0.2, 0.3)
    left, right = 0.4 - top, 0.4 + top
    one: Points = [(right, 0.1), (0.4, -0.03), (left, 0.2), (0.4, waist), (0.75, 0.75), (0.4, 1.03), (0.05, 0.75)]
    return [[*one, (0.4, waist), (right, 0.2), (right, 0.1)]]


def _nine(random: Random) -> list[Points]:
    size = random.uniform(0.4, 0.55)
    head: Points = [
        (0.6, 0.12),
        (0.35, -0.03),
        (0.02, 0.15),
        (0.1, size),
        (0.45, size - 0.08),
        (0.6, 0.12),
        (0.6, 0.12),
    ]
    return _either(random, [[*head, (0.6, 1.0)]], [[*head, (0.55, 0.75), (0.1, 1.02)]], [[*head, (0.35, 1.0)]])


SHAPES: tuple[Callable[[Random], list[Points]], ...] = (
    *(_zero, _one, _two, _three, _four),
    *(_five, _six, _seven, _eight, _nine),
)
"""Class -> what draws its strokes, in one of the ways in which people write it."""
