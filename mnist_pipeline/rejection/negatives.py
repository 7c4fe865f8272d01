"""Pictures that are no digit, made of digits and of drawn strokes. Pure; random numbers come from the caller.

No letter is among them, nor anything else that was drawn by a person: what is learnt from them is how strokes meet
in digits, and that they meet in many other ways.
"""

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.mnist_form import INK_SIDE, SIDE

MIDDLE = SIDE / 2
"""Pixel at which the centre of mass lies."""
INK = 0.25
"""What is at least so dark belongs to the picture."""
LEAST_SIDE = 5
PLACES = np.array([5, 9, 14, 19, 23], np.float32)
"""Pixels near which drawn strokes begin and end: as upright and level as strokes of signs are."""
KINDS_OF_STROKES = ((2, 0.8), (3, 0.8), (4, 0.8), (5, 0.7), (3, 0.2), (4, 0.2))
"""How many strokes, and the share of them that is upright or level."""

Pictures = NDArray[np.float32]


def draw_negatives(digits: Pictures, labels: NDArray[np.uint8], each: int, random: np.random.Generator) -> Pictures:
    """float32 [about 11 * each, 28, 28] in MNIST's form: turned, cut, joined and crossed digits, and strokes.

    Args:
        digits: float32 [n, 28, 28] in [0, 1].
        labels: uint8 [n].
        each: pictures of each kind; a few of them come out empty and are left out.
        random: numbers.
    """

    def some(mask: NDArray[np.bool_] | None = None) -> Pictures:
        rows = np.arange(len(digits)) if mask is None or not mask.any() else np.flatnonzero(mask)
        chosen: Pictures = digits[random.choice(rows, each)]
        return chosen

    oval = labels == 0  # looks the same when it is turned
    kinds = [
        np.rot90(some(~oval), 1, (1, 2)),
        np.rot90(some(~oval), -1, (1, 2)),
        some() * ~_band(each, 4, 9, random)[:, :, None],
        np.maximum(some(), _bar(each, (4, 6, 8, 19, 21, 23), random).swapaxes(1, 2)),
        np.maximum(some(), _bar(each, (4, 5, 14, 22, 23), random)),
        np.maximum(np.roll(_squeezed(some()), -5, axis=2), np.roll(_squeezed(some()), 5, axis=2)),
        *(draw_strokes(each, count, straight, random) for count, straight in KINDS_OF_STROKES),
    ]
    return np.concatenate([in_form(np.ascontiguousarray(kind, np.float32)) for kind in kinds])


def in_form(pictures: Pictures) -> Pictures:
    """Scaled so that the longer side of the ink is 20, its centre of mass at pixel 14; empty ones are left out."""
    used: NDArray[np.bool_] = np.asarray(pictures > INK)
    longer = np.maximum(_extent(np.any(used, axis=2)), _extent(np.any(used, axis=1)))
    pictures, longer = pictures[longer >= LEAST_SIDE], longer[longer >= LEAST_SIDE]
    axis = np.arange(SIDE, dtype=np.float32)
    mass = pictures.sum(axis=(1, 2))
    centre = np.stack([pictures.sum(axis=2) @ axis / mass, pictures.sum(axis=1) @ axis / mass], axis=1)
    step = (longer / INK_SIDE).astype(np.float32)
    return _resampled(pictures, centre, np.stack([step, step], axis=1))


def _extent(used: NDArray[np.bool_]) -> NDArray[np.int64]:
    last = used.shape[1] - used[:, ::-1].argmax(axis=1)
    return np.where(used.any(axis=1), last - used.argmax(axis=1), 0)


def _resampled(pictures: Pictures, centre: Pictures, step: Pictures) -> Pictures:
    """Bilinear: the point ``centre`` [n, 2] goes to pixel 14, and pixels are ``step`` [n, 2] apart."""
    grid = np.arange(SIDE, dtype=np.float32) - np.float32(MIDDLE)
    y = np.clip(centre[:, :1] + grid * step[:, :1] + 1, 0, SIDE)
    x = np.clip(centre[:, 1:] + grid * step[:, 1:] + 1, 0, SIDE)
    top, left = y.astype(np.int64), x.astype(np.int64)
    down, right = (y - top)[:, :, None], (x - left)[:, None, :]
    padded = np.pad(pictures, ((0, 0), (1, 1), (1, 1)))
    numbers = np.arange(len(pictures))[:, None, None]
    rows, columns = top[:, :, None], left[:, None, :]
    above = padded[numbers, rows, columns] * (1 - right) + padded[numbers, rows, columns + 1] * right
    below = padded[numbers, rows + 1, columns] * (1 - right) + padded[numbers, rows + 1, columns + 1] * right
    return np.asarray(above * (1 - down) + below * down, np.float32)


def _squeezed(pictures: Pictures) -> Pictures:
    """Half as wide."""
    count = len(pictures)
    return _resampled(
        pictures, np.full((count, 2), MIDDLE, np.float32), np.tile(np.array([1, 1.9], np.float32), (count, 1))
    )


def _band(count: int, least: int, most: int, random: np.random.Generator) -> NDArray[np.bool_]:
    """A gap, bool [count, 28], of ``least`` to ``most`` - 1 rows, somewhere in the ink."""
    start, length = random.integers(3, 20, (count, 1)), random.integers(least, most, (count, 1))
    rows = np.arange(SIDE)
    return np.asarray((rows >= start) & (rows < start + length))


def _bar(count: int, places: tuple[int, ...], random: np.random.Generator) -> Pictures:
    """A level bar at one of the rows ``places``."""
    row = random.choice(places, (count, 1)) + random.uniform(-1, 1, (count, 1))
    half = random.uniform(1, 2, (count, 1))
    start, stop = random.integers(3, 9, (count, 1)), random.integers(18, 25, (count, 1))
    pixels = np.arange(SIDE)
    thick = np.clip(half + 0.5 - np.abs(pixels - row), 0, 1)
    return np.asarray(thick[:, :, None] * ((pixels >= start) & (pixels < stop))[:, None, :], np.float32)


def draw_strokes(count: int, strokes: int, straight: float, random: np.random.Generator) -> Pictures:
    """float32 [count, 28, 28]: lines and arcs of one width; the share ``straight`` of the lines is upright or level."""
    half = random.uniform(1.0, 2.2, (count, 1, 1)).astype(np.float32)
    drawn = np.zeros((count, SIDE, SIDE), np.float32)
    for number in range(strokes):
        there = random.random((count, 1, 1)) < (0.75 if number > 1 else 1)
        curved = random.random((count, 1, 1)) < 0.4
        distance = np.where(curved, _from_arc(count, random), _from_line(count, straight, random))
        drawn = np.maximum(drawn, np.clip(half + 0.5 - distance, 0, 1) * there)
    return drawn


def _from_line(count: int, straight: float, random: np.random.Generator) -> Pictures:
    """[count, 28, 28]: distance of each pixel from a line between two places."""
    start, end = (PLACES[random.integers(0, 5, (count, 2))] + random.uniform(-1, 1, (count, 2)) for _ in range(2))
    aligned, axis = random.random(count) < straight, random.integers(0, 2, count)
    numbers = np.arange(count)
    end[numbers, axis] = np.where(aligned, start[numbers, axis], end[numbers, axis])
    first, run = start.astype(np.float32)[:, :, None, None], (end - start).astype(np.float32)[:, :, None, None]
    pixels = np.arange(SIDE, dtype=np.float32)
    dy, dx = pixels[:, None] - first[:, 0], pixels - first[:, 1]
    share = np.clip((dy * run[:, 0] + dx * run[:, 1]) / np.maximum((run**2).sum(axis=1), 1e-3), 0, 1)
    off_y, off_x = dy - share * run[:, 0], dx - share * run[:, 1]
    return np.asarray(np.sqrt(off_y * off_y + off_x * off_x))


def _from_arc(count: int, random: np.random.Generator) -> Pictures:
    """[count, 28, 28]: distance of each pixel from a third to four fifths of a circle; beyond its ends, far."""
    radius, centre_y, centre_x, middle, reach = (
        random.uniform(least, most, (count, 1, 1)).astype(np.float32)
        for least, most in ((3, 8), (8, 20), (8, 20), (0, 2 * np.pi), (-0.8, 0.45))
    )
    axis = np.arange(SIDE, dtype=np.float32)
    dy, dx = axis[:, None] - centre_y, axis - centre_x
    away = np.sqrt(dy * dy + dx * dx)
    # On the arc: the angle to its middle is small, that is, its cosine large.
    on_arc = dy * np.sin(middle) + dx * np.cos(middle) >= reach * away
    return np.asarray(np.where(on_arc, np.abs(away - radius), np.float32(SIDE)))
