"""Pictures that are no digit: signs and letters, and what becomes of digits that are not alone or not whole.

Each function draws one picture on a canvas of `imaging.drawing`, which may be wider than the usual one. Random
numbers come from the caller.
"""

from collections.abc import Callable, Sequence
from types import MappingProxyType

import numpy as np

from mnist_pipeline.imaging import drawing
from mnist_pipeline.imaging.drawing import CANVAS, Canvas, Stroke
from mnist_pipeline.rejection.glyphs import Glyph, load_glyphs

Random = np.random.Generator
PickDigit = Callable[..., tuple[Canvas, int]]
"""A digit on a canvas and its class, of the classes that are not named."""
STEP = 4.0
"""Strokes are bent at points at most so far apart, font units."""


PENS = (2.0, 16.0)
"""Widths of pens, canvas pixels: half a pixel of MNIST's form, and four."""


def a_pen(random: Random) -> float:
    """The width of a pen, of `PENS`; fine ones are as frequent as broad ones."""
    return float(np.exp(random.uniform(*np.log(PENS))))


def _whole(random: Random, low: int, high: int) -> int:
    """A whole number from ``low`` to ``high`` - 1."""
    return int(random.integers(low, high))


def by_hand(glyph: Glyph, random: Random, unsteadiness: float = 0.04) -> list[Stroke]:
    """The strokes of a glyph as a hand would draw them: turned, slanted, stretched, and not quite where they should be.

    Args:
        glyph: in font units.
        random: numbers.
        unsteadiness: standard deviation of the displacement, as a share of the glyph's size; it changes smoothly.
    """
    points = np.concatenate(glyph)
    low, high = points.min(axis=0), points.max(axis=0)
    turn, slant, stretch = random.normal(0, np.deg2rad(6)), random.normal(0, 0.15), np.exp(random.normal(0, 0.125))
    cosine, sine = np.cos(turn), np.sin(turn)
    linear = np.array([[cosine, -sine], [sine, cosine]]) @ np.array([[1, slant], [0, 1]])
    linear = linear @ np.diag([stretch, 1 / stretch])
    waves, phases = random.normal(0, 3.75, (2, 3)), random.uniform(0, 2 * np.pi, 3)
    amplitudes = random.normal(0, unsteadiness, (3, 2))
    drawn = []
    for stroke in glyph:
        place = (_dense(stroke) - (low + high) / 2) / float((high - low).max())
        drawn.append((place @ linear.T + np.sin(place @ waves + phases) @ amplitudes).astype(np.float32))
    return drawn


def _dense(stroke: Stroke) -> Stroke:
    """The same stroke with a point every `STEP`."""
    steps = np.diff(stroke, axis=0)
    counts = np.maximum(1, (np.hypot(steps[:, 0], steps[:, 1]) / STEP).astype(int))
    along = np.repeat(np.arange(len(steps)), counts)
    shares = (np.arange(len(along)) - np.repeat(counts.cumsum() - counts, counts)) / counts[along]
    return np.concatenate([stroke[along] + steps[along] * shares[:, None], stroke[-1:]]).astype(np.float32)


def glyph(random: Random) -> Canvas:
    """A letter or a sign of any script."""
    return drawing.draw_strokes(by_hand(_choice(load_glyphs().others, random), random), a_pen(random))


def digit_glyph(random: Random) -> tuple[Canvas, int]:
    """A digit of a stroke font, which is one, and its class."""
    label = _whole(random, 0, 10)
    strokes = by_hand(_choice(load_glyphs().digits[label], random), random, unsteadiness=0.03)
    return drawing.draw_strokes(strokes, a_pen(random)), label


def _choice(values: Sequence[Glyph], random: Random) -> Glyph:
    return values[_whole(random, 0, len(values))]


def word(_: PickDigit, random: Random) -> Canvas:
    """Two or three letters or signs in a row."""
    others = load_glyphs().others
    drawn = [
        drawing.draw_strokes(by_hand(_choice(others, random), random), random.uniform(4, 10), size=70)[:, 12:100]
        for _ in range(_whole(random, 2, 4))
    ]
    return np.hstack(drawn)


def turned(pick: PickDigit, random: Random) -> Canvas:
    """A digit on its side, or in a mirror where that makes no other digit of it."""
    canvas, label = pick(0)
    if label in {3, 4, 7} and random.random() < 0.4:
        return np.ascontiguousarray(canvas[:, ::-1] if random.random() < 0.6 else canvas[::-1, ::-1])
    if label in {6, 9} and random.random() < 0.3:
        return np.ascontiguousarray(canvas[:, ::-1])
    return np.ascontiguousarray(np.rot90(canvas, 1 if random.random() < 0.5 else 3))


def struck_out(pick: PickDigit, random: Random) -> Canvas:
    """A digit with one to three lines through it; not those that people write with a bar."""
    canvas = pick(0, 2, 7)[0].copy()
    width = _whole(random, 4, 12)
    for _ in range(_whole(random, 1, 4)):
        kind = random.random()
        left, right = _whole(random, 5, 35), _whole(random, 77, 107)
        low, high = _whole(random, 80, 110), _whole(random, 2, 32)
        if kind < 0.4:
            middle = _whole(random, 36, 76)
            start = (_whole(random, 0, 18), middle + _whole(random, -8, 8))
            end = (_whole(random, 94, 112), middle + _whole(random, -8, 8))
        elif kind < 0.7:
            start, end = (left, low), (right, high)
        else:
            start, end = (left, high), (right, low)
        drawing.line(canvas, start, end, width)
    return canvas


def enclosed(pick: PickDigit, random: Random) -> Canvas:
    """A digit in a circle, which may be open, or in a box."""
    canvas = drawing.blank()
    side = int(CANVAS * random.uniform(0.45, 0.72))
    start = (CANVAS - side) // 2
    canvas[start : start + side, start : start + side] = drawing.resize(pick()[0], side, side)
    width = _whole(random, 2, 8)
    if random.random() < 0.5:
        drawing.ellipse(canvas, random.integers(40, 54, 2).tolist(), width, until=random.uniform(250, 360))
    else:
        drawing.box(canvas, random.integers(3, 14, 4).tolist(), width)
    return canvas


def ruled(pick: PickDigit, random: Random) -> Canvas:
    """A digit with a line above, below or beside it."""
    canvas = pick()[0].copy()
    width, tilt = _whole(random, 2, 7), _whole(random, -4, 4)
    place = _whole(random, 6, 22) if random.random() < 0.5 else _whole(random, 90, 106)
    if random.random() < 0.5:
        drawing.line(canvas, (0, place), (CANVAS - 1, place + tilt), width)
    else:
        drawing.line(canvas, (place, 0), (place + tilt, CANVAS - 1), width)
    return canvas


def with_sign(pick: PickDigit, random: Random) -> Canvas:
    """A digit after a minus or a plus, or before a point."""
    canvas = drawing.blank(2 * CANVAS)
    canvas[:, 80 : 80 + CANVAS] = pick()[0]
    width, kind = _whole(random, 5, 12), random.random()
    if kind >= 0.75:
        radius = _whole(random, 4, 9)
        drawing.ellipse(canvas, (radius, radius), -1, at=(74 + CANVAS, _whole(random, 80, 100)))
        return canvas
    x, y, length = 60 + _whole(random, -10, 14), 56 + _whole(random, -10, 10), _whole(random, 20, 40)
    drawing.line(canvas, (x - length, y), (x + _whole(random, 0, 8), y + _whole(random, -3, 3)), width)
    if kind > 0.4:
        drawing.line(canvas, (x - length / 2, y - length / 2), (x - length / 2, y + length / 2), width)
    return canvas


def cut(pick: PickDigit, random: Random) -> Canvas:
    """A digit of which half is missing, or a band in its middle; half a 1 is a 1."""
    canvas = pick(1)[0].copy()
    side, depth = _whole(random, 0, 4), _whole(random, 40, 62)
    if side == 0:
        canvas[:depth] = 0
    elif side == 1:
        canvas[-depth:] = 0
    elif side == 2:
        canvas[:, :depth] = 0
    else:
        top = _whole(random, 40, 60)
        canvas[top : top + _whole(random, 14, 30)] = 0
    return canvas


def paper_as_ink(pick: PickDigit, random: Random) -> Canvas:
    """What is left of the paper around a digit."""
    found = drawing.crop(pick()[0], margin=_whole(random, 4, 20))
    return np.asarray(255 - found, np.uint8) if found is not None else drawing.blank()


def two_digits(pick: PickDigit, random: Random) -> Canvas:
    """Two digits side by side; they may touch."""
    canvas = drawing.blank(2 * CANVAS)
    canvas[:, :CANVAS] = pick()[0]
    start = int(np.clip(CANVAS - 16 + _whole(random, -26, 10), 40, CANVAS))
    canvas[:, start : start + CANVAS] = np.maximum(canvas[:, start : start + CANVAS], pick()[0])
    return canvas


def scribble(_: PickDigit, random: Random) -> Canvas:
    """A line that wanders, with corners or without."""
    points = np.cumsum(random.normal(0, 1, (_whole(random, 5, 25), 2)), axis=0)
    if random.random() < 0.5:
        wide = np.repeat(points, 4, axis=0)
        points = np.column_stack([np.convolve(wide[:, axis], np.full(5, 0.2), "valid") for axis in (0, 1)])
    return drawing.draw_strokes([points.astype(np.float32)], random.uniform(4, 14))


def blot(_: PickDigit, random: Random) -> Canvas:
    """An area: an ellipse, a polygon, stains or discs."""
    canvas = drawing.blank()
    kind = random.random()
    if kind < 0.3:
        drawing.ellipse(canvas, random.integers(8, 45, 2).tolist(), -1, angle=random.uniform(0, 180))
    elif kind < 0.6:
        noise = drawing.blur(random.normal(0, 1, canvas.shape).astype(np.float32), random.uniform(3, 12)).astype(
            np.float32
        )
        canvas[noise > np.quantile(noise, random.uniform(0.5, 0.85))] = 255
    elif kind < 0.8:
        drawing.polygon(canvas, random.integers(10, 102, (_whole(random, 3, 8), 2)))
    else:
        for _disc in range(_whole(random, 2, 6)):
            radius = _whole(random, 3, 16)
            width = -1 if random.random() < 0.6 else _whole(random, 2, 6)
            drawing.ellipse(canvas, (radius, radius), width, at=random.integers(15, 97, 2).tolist())
    return canvas


KINDS = MappingProxyType(
    {
        kind.__name__: kind
        for kind in (
            word,
            turned,
            struck_out,
            enclosed,
            ruled,
            with_sign,
            cut,
            paper_as_ink,
            two_digits,
            scribble,
            blot,
        )
    }
)
"""Name -> what draws one picture of this kind; glyphs apart."""
