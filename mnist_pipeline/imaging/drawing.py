"""Drawing with pens: strokes and shapes on a canvas, changes that another pen, camera or scanner makes, MNIST's form.

A canvas is uint8 [112, 112], four times the sprite's side; 0 = background, 255 = ink. Random numbers come from the
caller.
"""

from collections.abc import Sequence
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from mnist_pipeline import INK_SIDE, SIDE

CANVAS = 112
DRAWN = 80
"""Longer side of what is drawn, canvas pixels: `INK_SIDE` at the sprite's scale."""
INK = 64
"""What is at least so dark belongs to the drawing."""
SUBPIXEL_BITS = 3
MOST_MOVED = (np.deg2rad(6), np.deg2rad(3), 0.06, 1, 1)
"""Angle and slant in radians, share of the size, pixels across and down."""

Pixel = TypeVar("Pixel", np.uint8, np.float32)
Canvas = NDArray[np.uint8]
Stroke = NDArray[np.float32]
"""Points [n, 2] as x, y; y grows downward."""


def blank(width: int = CANVAS) -> Canvas:
    """An empty canvas of the usual height."""
    return np.zeros((CANVAS, width), np.uint8)


def draw_strokes(strokes: Sequence[Stroke], width: float, size: int = DRAWN) -> Canvas:
    """The strokes scaled to ``size`` and centred, by a round pen of so many canvas pixels."""
    points = np.concatenate(strokes)
    low, high = points.min(axis=0), points.max(axis=0)
    scale = size / max(float((high - low).max()), 1e-3)
    offset = CANVAS / 2 - (low + high) / 2 * scale
    canvas = blank()
    for stroke in strokes:
        fixed = np.rint((stroke * scale + offset) * (1 << SUBPIXEL_BITS)).astype(np.int32)
        cv2.polylines(canvas, [fixed], False, 255, max(1, round(width)), cv2.LINE_AA, SUBPIXEL_BITS)
    return canvas


def line(canvas: Canvas, start: Sequence[float], end: Sequence[float], width: int) -> None:
    """A straight line from x, y to x, y, drawn onto the canvas."""
    cv2.line(canvas, _pixel(start), _pixel(end), 255, width, cv2.LINE_AA)


def ellipse(
    canvas: Canvas, axes: Sequence[float], width: int, *, angle: float = 0, until: float = 360, at: Sequence[float] = ()
) -> None:
    """An ellipse with these half axes, from 0 to ``until`` degrees; filled where ``width`` is -1."""
    centre = _pixel(at) if len(at) else (canvas.shape[1] // 2, canvas.shape[0] // 2)
    cv2.ellipse(canvas, centre, _pixel(axes), angle, 0, until, 255, width, cv2.LINE_AA)


def box(canvas: Canvas, margins: Sequence[int], width: int) -> None:
    """A rectangle with these distances from left, top, right and bottom."""
    left, top, right, bottom = (int(margin) for margin in margins)
    height, breadth = canvas.shape
    cv2.rectangle(canvas, (left, top), (breadth - 1 - right, height - 1 - bottom), 255, width, cv2.LINE_AA)


def polygon(canvas: Canvas, points: NDArray[np.integer]) -> None:
    """A filled polygon with these corners [n, 2]."""
    cv2.fillPoly(canvas, [points.astype(np.int32)], 255, cv2.LINE_AA)


def _pixel(point: Sequence[float]) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))


def enlarge(image: NDArray[np.uint8]) -> Canvas:
    """An image [28, 28] on a canvas."""
    return resize(image, CANVAS, CANVAS, cv2.INTER_CUBIC)


def resize(image: NDArray[np.uint8], width: int, height: int, method: int = cv2.INTER_AREA) -> Canvas:
    """The image at another size."""
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), np.uint8)


def blur(image: NDArray[Pixel], radius: float) -> NDArray[Pixel]:
    """Gaussian blur; the radius is the standard deviation in pixels."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), radius), image.dtype)


def other_pen(canvas: Canvas, random: np.random.Generator) -> Canvas:
    """The drawing as by another hand and pen: turned, slanted, thinner or thicker, thresholded, blurred or coarse."""
    changed = _slanted(canvas, random)
    changed = _thickened(changed, int(random.integers(-4, 6)))
    kind = random.random()
    if kind < 0.3:
        return np.where(changed > random.integers(60, 180), 255, 0).astype(np.uint8)
    if kind < 0.5:
        return blur(changed, random.uniform(1, 5))
    if kind < 0.7:
        pixels = int(random.integers(9, 23))
        method = (cv2.INTER_LINEAR, cv2.INTER_NEAREST, cv2.INTER_CUBIC)[random.integers(3)]
        return resize(resize(changed, pixels, pixels), CANVAS, CANVAS, method)
    return changed


def _slanted(canvas: Canvas, random: np.random.Generator) -> Canvas:
    turn = cv2.getRotationMatrix2D((0, 0), random.normal(0, 6), 1)[:, :2]
    wide, tall = np.exp(random.normal(0, 0.08, 2))
    linear = turn @ np.array([[wide, random.normal(0, 0.12)], [0, tall]])
    middle = np.full(2, CANVAS / 2)
    matrix = np.column_stack([linear, middle - linear @ middle]).astype(np.float32)
    return np.asarray(cv2.warpAffine(canvas, matrix, (CANVAS, CANVAS), flags=cv2.INTER_LINEAR), np.uint8)


def moved(images: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """uint8 [n, 28, 28], each turned, slanted, enlarged and shifted in its own way; bilinear, zero outside.

    By up to `MOST_MOVED` either way, uniformly, about the middle.
    """
    turn, slant, size, *shift = (random.uniform(-1, 1, (5, len(images))).T * MOST_MOVED).T
    cos, sin, tan = np.cos(turn) / (1 + size), np.sin(turn) / (1 + size), np.tan(slant)
    linear = np.moveaxis(np.array([[cos, cos * tan - sin], [sin, sin * tan + cos]]), 2, 0)
    middle = np.full(2, (SIDE - 1) / 2)
    start = middle - (linear @ (middle + np.transpose(shift))[:, :, None])[:, :, 0]
    found = np.empty_like(images)
    for image, of_image, at, result in zip(images, linear, start, found, strict=True):
        matrix = np.column_stack([of_image, at])
        cv2.warpAffine(image, matrix, (SIDE, SIDE), dst=result, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return found


def _thickened(canvas: Canvas, radius: int) -> Canvas:
    """Strokes wider by twice the radius; narrower where it is negative, unless too little would be left."""
    if radius == 0:
        return canvas
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * abs(radius) + 1, 2 * abs(radius) + 1))
    if radius > 0:
        return np.asarray(cv2.dilate(canvas, disc), np.uint8)
    thinner = np.asarray(cv2.erode(canvas, disc), np.uint8)
    kept = np.count_nonzero(thinner > INK) > np.count_nonzero(canvas > INK) / 4
    return thinner if kept else canvas


def in_form(canvas: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """uint8 [28, 28] in MNIST's form: the box of the ink scaled into 20x20, its centre of mass at pixel 14.

    Returns:
        None where there is no ink.
    """
    drawn = crop(canvas)
    if drawn is None:
        return None
    scale = INK_SIDE / max(drawn.shape)
    width, height = (max(1, round(side * scale)) for side in drawn.shape[::-1])
    small = resize(drawn, width, height, cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR).astype(np.float32)
    mass = float(small.sum())
    if not mass:
        return None
    top = _start(float(small.sum(axis=1) @ np.arange(height)) / mass, height)
    left = _start(float(small.sum(axis=0) @ np.arange(width)) / mass, width)
    image = np.zeros((SIDE, SIDE), np.uint8)
    image[top : top + height, left : left + width] = np.rint(small * (255 / small.max()))
    return image


def crop(canvas: NDArray[np.uint8], margin: int = 0) -> NDArray[np.uint8] | None:
    """The box around the ink; None on an empty canvas."""
    used = canvas > INK
    rows, columns = np.flatnonzero(used.any(axis=1)), np.flatnonzero(used.any(axis=0))
    if not rows.size:
        return None
    top, left = max(0, rows[0] - margin), max(0, columns[0] - margin)
    return canvas[top : rows[-1] + 1 + margin, left : columns[-1] + 1 + margin]


def _start(centre: float, length: int) -> int:
    """Where a side of so many pixels begins, so that its centre of mass lies at pixel 14."""
    return min(max(round(SIDE / 2 - centre), 0), SIDE - length)
