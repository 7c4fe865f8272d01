"""Long straight lines: rulings, underlines, the borders of cells and boxes. Pure."""

from dataclasses import dataclass

import cv2
import numpy as np

from mnist_pipeline.imaging.levels import Grey
from mnist_pipeline.imaging.pieces import AREA, WEAK, label

LEVEL, UPRIGHT = 0.3, 0.45
"""A level line is at least this share of the width long, an upright one this share of the height."""
THICK = 0.08
"""No line is thicker than this share of the longer side."""
SLOPE = 3
"""Pixels by which a line may leave its row over the length of the bar that finds it."""
MARGIN = 0.03
"""A line this close to a side of the picture runs off it, as a share of the side."""
LEAST_REST = 0.004
"""What remains is at least this share of the picture."""
MAIN = 0.25
"""Pieces of this share of the largest are part of what remains, when a line's place is judged."""
MENDED = 7
"""Cuts of lines are mended over so many pixels."""
THICKER = 1.5
"""Where a line is by so many pixels thicker than elsewhere, a stroke lies along it ..."""
STROKE = 0.35
"""... that belongs to what remains, if it is so long, as a share of the height of what remains."""


@dataclass(frozen=True, slots=True)
class Rest:
    """What remains without lines, seen along the lines: start and length along them, and across."""

    start: int
    length: int
    top: int
    height: int


def without_lines(strength: Grey) -> list[Grey]:
    """The ink without its long thin level lines, and without upright ones too, where there are such and ink remains.

    A line goes only if no digit would be spoilt: it runs off the picture, or belongs to a box, or lies below all that
    remains and is wider than it. A line through what remains, or on top of it, may be a stroke of it.

    Args:
        strength: uint8 [h, w], 255 = all ink.
    """
    mask = (strength > WEAK).view(np.uint8)
    level, upright = _long(mask, LEVEL), _turned(_long(_turned(mask), UPRIGHT))
    found = []
    if level.any():
        rest = _without(strength, mask, level, np.zeros_like(upright))
        found.append(None if rest is None or _are_rungs(mask, rest, upright) else rest)
    if upright.any():
        found.append(_without(strength, mask, level, upright))
    return [rest for rest in found if rest is not None]


def _are_rungs(mask: Grey, rest: Grey, upright: Grey) -> bool:
    """What remains without level lines are the upright lines between them, which look like a 1."""
    left = rest > WEAK
    if 2 * np.count_nonzero(left & (upright > 0)) < np.count_nonzero(left):
        return False
    near = np.asarray(cv2.dilate(left.view(np.uint8), np.ones((5, 5), np.uint8)))
    count, labels = cv2.connectedComponents((mask > left).view(np.uint8), connectivity=8)
    return bool(np.count_nonzero(np.bincount(labels[near > 0], minlength=count)[1:]) > 1)


def _turned(mask: Grey) -> Grey:
    return np.ascontiguousarray(mask.T)


def _long(mask: Grey, share: float) -> Grey:
    """Pixels of a mask (0 or 1) that belong to thin level lines, slightly tilted ones too."""
    height, width = mask.shape
    bar = np.ones((1, max(8, round(share * width))), np.uint8)
    post = np.ones((max(3, round(THICK * max(height, width))), 1), np.uint8)
    wider = cv2.dilate(mask, np.ones((SLOPE, 1), np.uint8))
    long = cv2.bitwise_and(cv2.morphologyEx(wider, cv2.MORPH_OPEN, bar), mask)
    return np.asarray(cv2.bitwise_and(long, 1 - cv2.morphologyEx(mask, cv2.MORPH_OPEN, post)), np.uint8)


def _without(strength: Grey, mask: Grey, level: Grey, upright: Grey) -> Grey | None:
    rest = cv2.bitwise_and(mask, 1 - cv2.bitwise_or(level, upright))
    rest = cv2.morphologyEx(rest, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    if np.count_nonzero(rest) < LEAST_REST * rest.size:
        return None
    x, y, wide, tall = cv2.boundingRect(_main(np.asarray(rest, np.uint8)))
    gone = _removable(level, upright, Rest(x, wide, y, tall), underline=True)
    gone |= _turned(_removable(_turned(upright), _turned(level), Rest(y, tall, x, wide), underline=False))
    return _mended(strength, gone) if gone.any() else None


def _main(mask: Grey) -> Grey:
    """The largest piece, and those that are not much smaller: a line may have cut it in two."""
    near = cv2.dilate(mask, np.ones((5, 5), np.uint8))
    labels, stats = label(np.asarray(near, np.uint8))
    areas = stats[:, AREA].copy()
    areas[0] = 0
    return np.asarray(cv2.bitwise_and(mask, (areas >= MAIN * areas.max()).view(np.uint8)[labels]), np.uint8)


def _removable(lines: Grey, crossing: Grey, rest: Rest, *, underline: bool) -> Grey:
    """Those of the lines (level in this view) that may go.

    Args:
        lines: uint8 [h, w], 0 or 1.
        crossing: lines of the other direction.
        rest: what remains without either.
        underline: a line below what remains is one.
    """
    if not lines.any():
        return lines
    width = lines.shape[1]
    # What remains cuts lines in two: the parts are one line, which may run off on either side.
    bridge = np.ones((1, min(width, round(1.3 * rest.length) + 3)), np.uint8)
    near = cv2.dilate(lines, np.ones((SLOPE, 5), np.uint8))
    reach = bridge.shape[1]
    wider = cv2.copyMakeBorder(near, 0, 0, reach, reach, cv2.BORDER_CONSTANT, value=0)
    whole = cv2.morphologyEx(wider, cv2.MORPH_CLOSE, bridge)[:, reach:-reach]
    labels, stats = label(np.asarray(whole, np.uint8))
    crossed = np.bincount(labels[cv2.dilate(crossing, np.ones((5, 5), np.uint8)) > 0], minlength=len(stats)) > 0
    goes = np.zeros(len(stats), np.uint8)
    for number in range(1, len(stats)):
        may_go = _may_go(stats[number].tolist(), bool(crossed[number]), rest, width, underline=underline)
        goes[number] = may_go and not _carries_stroke(lines & (labels == number), rest)
    return np.asarray(lines & goes[labels], np.uint8)


def _may_go(line: list[int], crosses: bool, rest: Rest, width: int, *, underline: bool) -> bool:
    x, y, length, thick, _ = line
    margin = max(2, MARGIN * width)
    ends_off = (x <= margin) + (x + length >= width - margin)
    middle = y + thick / 2
    beyond = not rest.top + 0.1 * rest.height < middle < rest.top + 0.9 * rest.height
    longer = x < rest.start and x + length > rest.start + rest.length
    below = underline and longer and middle >= rest.top + 0.85 * rest.height
    borders = ends_off == 1 or (crosses and length >= 0.8 * rest.length)
    return ends_off == 2 or below or (beyond and borders)


def _carries_stroke(line: Grey, rest: Rest) -> bool:
    """A stroke of what remains, such as the foot of a 2, lies along a line (uint8 [h, w], 0 or 1)."""
    thickness = line.sum(axis=0)
    beside = np.r_[thickness[: rest.start], thickness[rest.start + rest.length :]]
    beside = beside[beside > 0]
    if not beside.size:
        return False
    thicker = thickness[rest.start : rest.start + rest.length] >= np.median(beside) + THICKER
    return bool(thicker.sum() > STROKE * rest.height)


def _mended(strength: Grey, gone: Grey) -> Grey:
    """The ink without the lines; what they cut is closed where ink is on both sides of the cut."""
    cut = np.asarray(cv2.dilate(gone, np.ones((3, 3), np.uint8)), bool)
    erased = np.where(cut, np.uint8(0), strength)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (MENDED, MENDED))
    return np.where(cut, np.asarray(cv2.morphologyEx(erased, cv2.MORPH_CLOSE, kernel), np.uint8), erased)
