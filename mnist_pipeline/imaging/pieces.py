"""Connected pieces of ink: which of them belong to the digit, and what speaks against their being one. Pure."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.imaging.levels import Grey

WEAK, STRONG = 90, 128
"""A piece of ink is everything above the first strength that holds something above the second."""
SPECK = 0.06
"""Pieces smaller than this share of the largest are dirt."""
FRAME = 0.6
"""A piece that covers this share of a side of the image is a frame or a shadow, where there is other ink."""
LEAST_AREA = 0.002
"""Share of the image that other ink must have, to be the digit in a frame."""
FREE = 0.35
"""A piece away from the border is the digit, where the largest piece at the border is not much larger."""

# The limits of `objection`.
MAX_SCATTERED = 0.15
MAX_PIECES = 8
TALL, BIG, MAX_OVERLAP = 0.6, 0.3, 0.2
FEW, GAP = 4, 0.04
ALIKE, SLENDER = 0.75, 1.9
MIN_SIDE = 4
MAX_ASPECT = 2.2

Labels = NDArray[np.uint16]
LEFT, TOP, WIDTH, HEIGHT, AREA = range(5)
"""Columns of the statistics of pieces, as OpenCV has them."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """Connected pieces of ink (8 neighbours), and those that may be a digit, or a part of it.

    Attributes:
        strength: uint8 [h, w]: how much of a pixel is ink.
        labels: uint16 [h, w]: 0 = paper, else the number of the piece.
        stats: int32 [n, 5]: left, top, width, height and area of each; row 0 is the paper.
        kept: int [k]: the pieces that may belong to the digit, the largest first; none on a blank.
        scattered: share of all ink that lies in pieces too small to belong to it.
    """

    strength: Grey
    labels: Labels
    stats: NDArray[np.int32]
    kept: NDArray[np.intp]
    scattered: float

    @property
    def boxes(self) -> NDArray[np.int32]:
        """int32 [k, 5]: as ``stats``, of the pieces that are kept."""
        return self.stats[self.kept]

    @property
    def extent(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the pieces that are kept, of which there is one at least."""
        boxes = self.boxes
        right, bottom = (boxes[:, LEFT] + boxes[:, WIDTH]).max(), (boxes[:, TOP] + boxes[:, HEIGHT]).max()
        return int(boxes[:, LEFT].min()), int(boxes[:, TOP].min()), int(right), int(bottom)

    @property
    def is_noisy(self) -> bool:
        """Much of the ink is dirt."""
        return self.scattered > MAX_SCATTERED

    def alone(self) -> Grey:
        """The strength of the pieces that are kept, with the faint rim that belongs to them, and nothing else."""
        keep = np.zeros(len(self.stats), np.uint8)
        keep[self.kept] = 255
        mask = cv2.dilate(keep.take(self.labels), np.ones((3, 3), np.uint8))
        return np.asarray(cv2.bitwise_and(self.strength, mask), np.uint8)


def label(mask: Grey) -> tuple[Labels, NDArray[np.int32]]:
    """The connected pieces of a mask: labels, and statistics as `Pieces` has them.

    Labels of 16 bits take OpenCV a third of the time of those of 32, and no plane here has as many pieces.
    """
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8, ltype=cv2.CV_16U)
    return np.asarray(labels, np.uint16), np.asarray(stats, np.int32)


def find_pieces(strength: Grey) -> Pieces:
    """The pieces of ink; dirt, and what runs along the sides of the image, is not kept."""
    labels, stats = label((strength > WEAK).view(np.uint8))
    strong = np.flatnonzero(np.bincount(labels[strength > STRONG], minlength=len(stats)))
    numbers = strong[np.argsort(-stats[strong, AREA], kind="stable")]
    if numbers.size < 2:
        return Pieces(strength, labels, stats, numbers, 0.0)
    numbers = _without_frame(numbers, labels, stats[:, AREA])
    areas = stats[numbers, AREA]
    kept = numbers[areas >= SPECK * areas[0]]
    return Pieces(strength, labels, stats, kept, 1 - float(stats[kept, AREA].sum() / areas.sum()))


def _without_frame(numbers: NDArray[np.intp], labels: Labels, areas: NDArray[np.int32]) -> NDArray[np.intp]:
    """The pieces, without those that run along a side, or only touch one, where others are the digit."""
    height, width = labels.shape
    sides = ((labels[0], width), (labels[-1], width), (labels[:, 0], height), (labels[:, -1], height))
    covered = np.max([np.bincount(side, minlength=len(areas)) / length for side, length in sides], axis=0)
    inner = numbers[covered[numbers] <= FRAME]
    if inner.size and areas[inner[0]] >= LEAST_AREA * labels.size:
        numbers = inner
    free = numbers[covered[numbers] == 0]
    return free if free.size and areas[free[0]] >= FREE * areas[numbers[0]] else numbers


def objection(pieces: Pieces) -> str:
    """Why these pieces are no single digit (``noise``, ``several``, ``shape``), or ""."""
    boxes = pieces.boxes
    if pieces.is_noisy or len(boxes) > MAX_PIECES:
        return "noise"
    tallest = boxes[:, HEIGHT].max()
    tall = boxes[(boxes[:, HEIGHT] >= TALL * tallest) & (boxes[:, AREA] >= BIG * boxes[0, AREA])]
    if _are_beside(tall[:, LEFT], tall[:, WIDTH]) or _are_apart(boxes):
        return "several"
    if tallest < MIN_SIDE or tallest * MAX_ASPECT < boxes[:, WIDTH].max():
        return "shape"
    return ""


def _are_beside(start: NDArray[np.int32], length: NDArray[np.int32]) -> bool:
    """Two of the pieces hardly overlap along this axis."""
    if len(start) < 2:
        return False
    stop = start + length
    overlap = np.minimum(stop[:, None], stop) - np.maximum(start[:, None], start)
    return bool((overlap < MAX_OVERLAP * np.minimum(length[:, None], length)).any())


def _are_apart(boxes: NDArray[np.int32]) -> bool:
    """A gap runs between the pieces from top to bottom, as beside a sign, or between two in a high stack."""
    if not 1 < len(boxes) <= FEW:
        return False
    height = int((boxes[:, TOP] + boxes[:, HEIGHT]).max() - boxes[:, TOP].min())
    gap = max(1, GAP * height)
    if _widest_gap(boxes[:, LEFT], boxes[:, WIDTH]) >= gap:
        return True
    two = boxes[boxes[:, AREA] >= BIG * boxes[0, AREA]]
    is_stack = len(two) == 2 and two[:, HEIGHT].min() >= ALIKE * two[:, HEIGHT].max()
    slender = height >= SLENDER * two[:, WIDTH].max() and two[:, WIDTH].max() >= two[:, HEIGHT].max() / SLENDER
    return bool(is_stack and slender) and _widest_gap(two[:, TOP], two[:, HEIGHT]) >= gap


def _widest_gap(start: NDArray[np.int32], length: NDArray[np.int32]) -> int:
    order = np.argsort(start)
    reached = np.maximum.accumulate((start + length)[order])
    return int((start[order][1:] - reached[:-1]).max())
