"""Draw what people hand in: digits by a pen, on paper, with lines, shapes and shadows around them. Pure.

Ink is float32 [height, width] in [0, 1], the share of each pixel that it covers. Lengths are in pixels.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from mnist_pipeline import INK_SIDE, SIDE

Ink = NDArray[np.float32]
Point = tuple[float, float]
"""x and y."""

FONTS = 8
"""Fonts that text is typed in."""
_FRACTION_BITS = 4


def write(digit: NDArray[np.uint8], height: float, *, weight: float = 0, slant: float = 0, turn: float = 0) -> Ink:
    """A digit in MNIST's form, written ``height`` high with sharp edges, and cropped to its ink.

    Args:
        digit: uint8 [28, 28].
        height: of 20 of its pixels.
        weight: what its strokes gain in width, as a share of the height; negative for thinner ones.
        slant: tangent of the angle by which upright lines lean.
        turn: degrees, counter-clockwise.
    """
    scale = height / INK_SIDE
    side = max(8, round(scale * SIDE * 1.3))
    cos, sin = np.cos(np.radians(turn)) * scale, np.sin(np.radians(turn)) * scale
    matrix = np.array([[cos, sin - cos * slant], [-sin, cos + sin * slant]])
    shift = np.full(2, (side - 1) / 2) - matrix @ np.full(2, (SIDE - 1) / 2)
    transform = np.column_stack([matrix, shift])
    enlarged = cv2.warpAffine(digit.astype(np.float32) / 255, transform, (side, side), flags=cv2.INTER_CUBIC)
    if scale > 1.5:  # otherwise the pixels of the original show as steps
        enlarged = cv2.GaussianBlur(enlarged, (0, 0), 0.45 * scale)
        enlarged = np.clip((enlarged - 0.42) * max(1.0, 1.6 * scale) + 0.5, 0, 1)
    return cropped(widened(np.clip(enlarged, 0, 1), weight * height))


def widened(ink: Ink, width: float) -> Ink:
    """Strokes wider by about ``width``, thinner where it is negative, but for those that would be lost."""
    reach = round(abs(width))
    if reach < 1:
        return ink
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach + 1, reach + 1))
    if width > 0:
        return np.asarray(cv2.dilate(np.pad(ink, reach), kernel), np.float32)
    thinner = cv2.erode(ink, kernel, borderValue=0)
    return np.asarray(thinner if thinner.max() > 0.9 else ink, np.float32)


def cropped(ink: Ink) -> Ink:
    """The box around everything that is at least a quarter ink."""
    rows, columns = np.flatnonzero((ink > 0.25).any(axis=1)), np.flatnonzero((ink > 0.25).any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] if rows.size else ink


def resized(ink: Ink, size: tuple[int, int]) -> Ink:
    """Ink stretched to another width and height."""
    return np.asarray(cv2.resize(ink, size, interpolation=cv2.INTER_AREA), np.float32)


def hollow(ink: Ink, width: float) -> Ink:
    """The outline of the strokes, ``width`` wide, outside of them."""
    reach = max(1, round(width))
    padded = np.pad(ink, reach + 1)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return np.asarray(np.clip(cv2.dilate(padded, kernel) - padded, 0, 1), np.float32)


def dotted(ink: Ink, period: float, share: float) -> Ink:
    """The ink behind a mesh: of each square of side ``period``, a disc of diameter ``share`` of it is kept."""
    y, x = np.mgrid[: ink.shape[0], : ink.shape[1]].astype(np.float32)
    away = np.hypot((x % period) - period / 2, (y % period) - period / 2)
    return np.asarray(ink * np.clip(share * period / 2 - away + 0.5, 0, 1), np.float32)


def put(canvas: Ink, ink: Ink, centre: Point) -> None:
    """Lay ink on a canvas, its middle at ``centre``; what falls outside is lost."""
    left, top = round(centre[0] - ink.shape[1] / 2), round(centre[1] - ink.shape[0] / 2)
    y, x = max(top, 0), max(left, 0)
    height = min(top + ink.shape[0], canvas.shape[0]) - y
    width = min(left + ink.shape[1], canvas.shape[1]) - x
    if height > 0 and width > 0:
        part = canvas[y : y + height, x : x + width]
        np.maximum(part, ink[y - top : y - top + height, x - left : x - left + width], out=part)


def rounded(points: NDArray[np.floating]) -> NDArray[np.float64]:
    """The polygon [n, 2] with its corners cut twice (Chaikin 1974); its ends, and points given twice, stay."""
    found = np.asarray(points, np.float64)
    for _ in range(2):
        quarter, last = found[:-1] * 0.75 + found[1:] * 0.25, found[:-1] * 0.25 + found[1:] * 0.75
        found = np.concatenate([found[:1], np.stack([quarter, last], 1).reshape(-1, 2), found[-1:]])
    return found


def stroke(canvas: Ink, points: Sequence[Point], width: float, *, closed: bool = False) -> None:
    """A line through the points, with round ends and smooth edges."""
    fixed = np.round(np.asarray(points, np.float64) * (1 << _FRACTION_BITS)).astype(np.int32).reshape(-1, 1, 2)
    layer = np.zeros(canvas.shape, np.uint8)
    cv2.polylines(layer, [fixed], closed, 255, max(1, round(width)), cv2.LINE_AA, _FRACTION_BITS)
    np.maximum(canvas, layer.astype(np.float32) * np.float32(min(1.0, width) / 255), out=canvas)


def oval(canvas: Ink, centre: Point, radii: Point, width: float, *, start: float = 0, sweep: float = 360) -> None:
    """An ellipse, or the part of it from the angle ``start`` on, degrees."""
    angles = np.radians(start + np.linspace(0, sweep, 60))
    points = [(centre[0] + radii[0] * np.cos(a), centre[1] + radii[1] * np.sin(a)) for a in angles]
    stroke(canvas, points, width)


def rectangle(canvas: Ink, centre: Point, radii: Point, width: float) -> None:
    """The outline of an upright rectangle."""
    (x, y), (a, b) = centre, radii
    stroke(canvas, [(x - a, y - b), (x + a, y - b), (x + a, y + b), (x - a, y + b)], width, closed=True)


def type_text(text: str, height: float, font: int, width: float) -> Ink:
    """Text in one of OpenCV's `FONTS`, its capitals ``height`` high."""
    scale = cv2.getFontScaleFromHeight(font, max(4, round(height)), max(1, round(width)))
    (across, up), below = cv2.getTextSize(text, font, scale, max(1, round(width)))
    layer = np.zeros((up + below + 8, across + 8), np.uint8)
    cv2.putText(layer, text, (4, up + 4), font, scale, 255, max(1, round(width)), cv2.LINE_AA)
    return cropped(layer.astype(np.float32) / np.float32(255))


def expose(
    paper: NDArray[np.float32],
    ink: Ink,
    pen: float | NDArray[np.float32],
    *,
    light: NDArray[np.float32] | float = 1.0,
    blur: float = 0.0,
    noise: NDArray[np.float32] | float = 0.0,
) -> NDArray[np.uint8]:
    """uint8 [h, w]: ink of the grey ``pen`` on paper (both 0..255), in this light, through this lens."""
    seen = np.asarray((paper * (1 - ink) + pen * ink) * light, np.float32)
    if blur > 0:
        seen = np.asarray(cv2.GaussianBlur(seen, (0, 0), blur), np.float32)
    return np.asarray(np.clip(np.rint(seen + noise), 0, 255), np.uint8)


def slope_of_light(shape: tuple[int, int], across: float, down: float) -> NDArray[np.float32]:
    """float32 [h, w]: 1 in the middle, changed by these shares from side to side."""
    y, x = np.linspace(-0.5, 0.5, shape[0]), np.linspace(-0.5, 0.5, shape[1])
    return np.asarray(1 + across * x[None, :] + down * y[:, None], np.float32)


def edge_of_shadow(
    shape: tuple[int, int], through: Point, angle: float, depth: float, width: float
) -> NDArray[np.float32]:
    """float32 [h, w]: 1 on one side of a line through a point, ``1 - depth`` beyond, changing over ``width``."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    away = (x - through[0]) * np.cos(angle) + (y - through[1]) * np.sin(angle)
    return np.asarray(1 - depth * np.clip(away / max(width, 0.1) + 0.5, 0, 1), np.float32)
