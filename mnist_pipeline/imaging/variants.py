"""What else the same ink may be: broken, hollow, distorted, or a line around a digit. Pure."""

import cv2
import numpy as np

from mnist_pipeline.imaging.levels import Grey, framed
from mnist_pipeline.imaging.pieces import AREA, HEIGHT, WEAK, WIDTH, Pieces, find_pieces

GAP = 0.06
"""Gaps of this share of the longer side are closed in broken strokes."""
WHOLE = 0.7
"""No stroke is broken, if one piece holds this share of the ink."""
HOLLOW = 1.3
"""Filling a hollow digit makes its ink at least so many times as much."""
ASPECTS = (0.95, 2.6)
"""Height over width of digits; outside of these limits, they may be distorted."""
USUAL = (56, 80)
"""Width and height that they then get."""
SECTORS, SURROUNDED = 36, 27
"""A line stands around a digit if it is seen from there in so many of so many directions ..."""
HIGH = 0.5
"""Ink beside what encloses a digit matters if it is at least so high, compared with the digit."""
MAX_INSIDE = 0.05
"""... and at most this share of it lies within the digit's box."""


def joined(pieces: Pieces) -> Pieces | None:
    """Dots, dashes and broken strokes with the gaps between them closed; None where nothing is to be closed."""
    ink = np.count_nonzero(pieces.strength > WEAK)
    if not pieces.kept.size or pieces.boxes[0, AREA] > WHOLE * ink:
        return None
    reach = max(3, round(GAP * max(pieces.strength.shape)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    closed = cv2.morphologyEx(framed(pieces.strength, reach), cv2.MORPH_CLOSE, kernel)
    return find_pieces(np.asarray(closed, np.uint8))


def filled(pieces: Pieces) -> Pieces | None:
    """Hollow strokes with ink between an odd and an even outline; None where that adds little."""
    if not pieces.kept.size:
        return None
    ink = pieces.alone()
    mask = (ink > WEAK).view(np.uint8)
    contours, hierarchy = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    outer = [contour for contour, links in zip(contours, hierarchy[0], strict=True) if links[3] < 0]
    solid = np.zeros_like(ink)
    cv2.fillPoly(solid, outer, 255)  # where two of them overlap, it is empty again
    if np.count_nonzero(solid) < HOLLOW * np.count_nonzero(mask):
        return None
    return find_pieces(np.maximum(solid, ink))


def proportioned(pieces: Pieces) -> Grey | None:
    """The ink of a very narrow or wide box in the usual proportions; None where they are usual."""
    if not pieces.kept.size:
        return None
    left, top, right, bottom = pieces.extent
    if ASPECTS[0] < (bottom - top) / (right - left) < ASPECTS[1]:
        return None
    box = pieces.alone()[top:bottom, left:right]
    return np.asarray(cv2.resize(box, USUAL, interpolation=cv2.INTER_AREA), np.uint8)


def enclosed(pieces: Pieces) -> tuple[Pieces, bool] | None:
    """What stands inside the widest piece, where that is a line around it, closed or not; None where it is not.

    And whether a piece that is not much lower than what stands inside stands beside the line.
    """
    if len(pieces.stats) < 3:
        return None
    around = int((pieces.stats[1:, WIDTH] * pieces.stats[1:, HEIGHT]).argmax()) + 1
    line = (pieces.labels == around).view(np.uint8)
    points = np.asarray(cv2.findNonZero(line), np.int32).reshape(-1, 2)
    hull = np.zeros_like(line)
    cv2.fillPoly(hull, [cv2.convexHull(points)], 1)
    inner = find_pieces(np.where((hull > 0) & (line == 0), pieces.strength, np.uint8(0)))
    if not inner.kept.size:
        return None
    left, top, right, bottom = inner.extent
    x = (points[:, 0] - (left + right) / 2) / (right - left)
    y = (points[:, 1] - (top + bottom) / 2) / (bottom - top)
    sectors = ((np.arctan2(y, x) / (2 * np.pi) + 0.5) * SECTORS).astype(int) % SECTORS
    surrounds = np.count_nonzero(np.bincount(sectors, minlength=SECTORS)) >= SURROUNDED
    crosses = np.mean((np.abs(x) < 0.5) & (np.abs(y) < 0.5)) > MAX_INSIDE
    if not surrounds or crosses:
        return None
    beside = np.bincount(pieces.labels[hull == 0], minlength=len(pieces.stats)) > 0
    beside[[0, around]] = False
    return inner, bool((pieces.stats[beside, HEIGHT] >= HIGH * (bottom - top)).any())
