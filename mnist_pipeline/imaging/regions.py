"""What encloses a digit: a page on a table, a note, a canvas, a window, a box, a circle. Pure."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.imaging.levels import Grey, framed
from mnist_pipeline.imaging.pieces import AREA, HEIGHT, WEAK, label
from mnist_pipeline.imaging.variants import HIGH

Box = tuple[int, int, int, int]
"""Left, top, width and height."""

LEAST, MOST = 0.04, 0.97
"""A region covers at least the first share of the picture, and at most the second."""
LEAST_SIDE = 0.12
"""Its sides are at least this share of the picture's longer one."""
CONVEX = 0.86
"""Its area is at least this share of its convex hull's."""
SAME = 0.75
"""Of two regions whose boxes overlap by more than this (intersection over union), the smaller one is taken."""
AT_MOST = 3
"""Regions that are looked at, the largest first."""
EDGE, RIM = 0.02, 0.2
"""At least the first share of a region's side is left out along its edge, and at most the second."""
CLEAR = 0.3
"""Where less than this share of a ring along the edge is ink, the line along it has ended."""
HUGGING = 0.35
"""A piece of which this share lies along the edge belongs to the edge."""
APART = 0.02
"""What is nearer to a region than this share of the picture's longer side belongs to it."""


@dataclass(frozen=True, slots=True)
class Region:
    """An area with a digit's paper inside.

    Attributes:
        left, top: of its box.
        mask: uint8 [height, width] of its box: 255 inside.
    """

    left: int
    top: int
    mask: Grey


def find_regions(bright: Grey) -> list[Region]:
    """Nearly convex areas of a picture in two classes (uint8 [h, w], 0 or 255), the largest first."""
    height, width = bright.shape
    wider = cv2.copyMakeBorder(bright, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    contours, _ = cv2.findContours(wider, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    boxes = [(contour, _box(contour)) for contour in contours]
    large = [
        (contour, box)
        for contour, box in boxes
        if box[2] * box[3] >= LEAST * bright.size and min(box[2:]) >= LEAST_SIDE * max(height, width)
    ]
    found: list[tuple[NDArray[np.int32], Box]] = []
    for contour, box in sorted(large, key=lambda one: one[1][2] * one[1][3]):
        area = cv2.contourArea(contour)
        if not LEAST * bright.size <= area <= MOST * (height - 1) * (width - 1):
            continue
        if area < CONVEX * cv2.contourArea(cv2.convexHull(contour)):
            continue
        if all(_overlap(box, other) <= SAME for _, other in found):
            found.append((np.asarray(contour, np.int32), box))
    return [_region(contour, box, (height, width)) for contour, box in found[: -AT_MOST - 1 : -1]]


def _box(contour: cv2.typing.MatLike) -> Box:
    left, top, wide, tall = cv2.boundingRect(contour)
    return left, top, wide, tall


def _region(contour: NDArray[np.int32], box: Box, shape: tuple[int, int]) -> Region:
    left, top, wide, tall = box
    mask = np.zeros((tall, wide), np.uint8)
    cv2.drawContours(mask, [contour], -1, 255, cv2.FILLED, offset=(-left, -top))
    left, top = max(left - 1, 0), max(top - 1, 0)  # the picture was framed by a pixel
    return Region(left, top, mask[: shape[0] - top, : shape[1] - left])


def _overlap(one: Box, other: Box) -> float:
    wide = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    tall = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    both = max(wide, 0) * max(tall, 0)
    return both / (one[2] * one[3] + other[2] * other[3] - both)


def without_rim(part: Grey, mask: Grey) -> Grey:
    """The mask of a region without the line along its edge, if there is one.

    Args:
        part: uint8 [h, w]: the greys of the region's box.
        mask: uint8 [h, w]: 255 inside.
    """
    depth = np.asarray(cv2.distanceTransform(framed(mask, 1), cv2.DIST_L2, 3), np.float32)[1:-1, 1:-1]
    inside = part[mask > 0]
    sheet = np.where(mask > 0, part, np.uint8(np.median(inside)))
    threshold, bright = cv2.threshold(sheet, 0, 1, cv2.THRESH_OTSU)
    paper_is_bright = 2 * np.count_nonzero(inside > threshold) > inside.size
    rings = depth.astype(np.int64).ravel()
    ink = (bright.ravel() == (0 if paper_is_bright else 1)).astype(np.float64)
    share = np.bincount(rings, ink) / np.maximum(np.bincount(rings), 1)
    deepest = min(max(2, round(RIM * min(mask.shape))), len(share))
    ended = next((number for number in range(2, deepest) if share[number] < CLEAR), 0)
    return np.where(depth > max(2.0, EDGE * max(mask.shape), ended + 1), np.uint8(255), np.uint8(0))


def without_edge(strength: Grey, mask: Grey) -> Grey:
    """The ink without pieces that lie along the edge of the mask (255 inside)."""
    near = cv2.bitwise_and(cv2.dilate(255 - mask, np.ones((7, 7), np.uint8)), mask)
    labels, stats = label((strength > WEAK).view(np.uint8))
    close = np.bincount(labels[near > 0], minlength=len(stats))
    goes = close > HUGGING * stats[:, AREA]
    goes[0] = False
    return np.where(goes[labels], np.uint8(0), strength)


def stands_beside(picture: Grey, region: Region, height: float) -> bool:
    """Whether ink that is not much lower than the digit inside a region stands apart from the region.

    Args:
        picture: uint8 [h, w].
        region: of this picture.
        height: of the digit, pixels.
    """
    tall, wide = region.mask.shape
    reach = 2 * max(3, round(APART * max(picture.shape))) + 1
    taken = np.zeros_like(picture)
    taken[region.top : region.top + tall, region.left : region.left + wide] = region.mask
    free = np.asarray(cv2.dilate(taken, np.ones((reach, reach), np.uint8))) == 0
    bright = np.asarray(cv2.threshold(picture, 0, 1, cv2.THRESH_OTSU)[1], np.uint8)
    ink = bright if 2 * np.count_nonzero(bright[free]) < np.count_nonzero(free) else 1 - bright
    labels, stats = label(ink)
    apart = np.ones(len(stats), bool)
    for other in (labels[~free], labels[0], labels[-1], labels[:, 0], labels[:, -1], 0):
        apart[other] = False
    return bool((stats[apart, HEIGHT] >= HIGH * height).any())
