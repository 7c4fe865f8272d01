"""Which greys of a plane are paper, and how much ink each other grey stands for. Pure."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
"""[height, width]. Of a plane: 0 = black, 255 = white. Of ink: how much of a pixel it covers, 255 = all of it."""

MIN_CONTRAST = 10
"""Ink differs from its paper by at least so many grey levels of 255 ..."""
MIN_CONTRAST_TO_NOISE = 2.5
"""... and by so many times the mean deviation of the paper."""
FULL = 0.6
"""This quantile of the ink's distances from the paper is all ink."""
SHADOW = 1 / 3
"""Strokes are narrower than this share of the longer side; what is wider is light or shadow."""


@dataclass(frozen=True, slots=True)
class Levels:
    """The greys of a plane, in two classes.

    Attributes:
        threshold: the highest grey of the dark class.
        dark, bright: median grey of each class.
        share: of the plane that is bright.
        border: share of the plane's outermost pixels that are bright.
        counts: float32 [256]: pixels of each grey.
    """

    threshold: int
    dark: int
    bright: int
    share: float
    border: float
    counts: NDArray[np.float32]

    @property
    def paper_is_bright(self) -> bool:
        """By the border and the whole, each of which may mislead."""
        return self.share + self.border > 1

    @property
    def is_certain(self) -> bool:
        """The border and the whole agree about what is paper."""
        return (self.share > 0.6 and self.border > 0.9) or (self.share < 0.4 and self.border < 0.1)


def fit_within(plane: Grey, side: int) -> Grey:
    """The plane, reduced by area until its longer side is at most ``side``; never enlarged.

    It is halved first, as often as it can be: OpenCV averages whole pixels in a third of the time.
    """
    while max(plane.shape) >= 2 * side and min(plane.shape) > 1:
        height, width = plane.shape[0] // 2, plane.shape[1] // 2
        even = plane[: 2 * height, : 2 * width]
        plane = np.asarray(cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    height, width = plane.shape
    scale = side / max(height, width)
    if scale >= 1:
        return plane
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.uint8)


def framed(image: Grey, margin: int) -> Grey:
    """The image with so many pixels of 0 around it; `numpy.pad` takes many times as long for small ones."""
    return np.asarray(cv2.copyMakeBorder(image, *(margin,) * 4, cv2.BORDER_CONSTANT, value=0), np.uint8)


def measure_levels(plane: Grey) -> Levels:
    """The two classes of greys that differ most (Otsu 1979)."""
    threshold, bright = cv2.threshold(plane, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    split = int(threshold) + 1
    counts = _histogram(plane)
    edge = np.concatenate([bright[0], bright[-1], bright[:, 0], bright[:, -1]])
    return Levels(
        threshold=split - 1,
        dark=_quantile(counts[:split], 0.5),
        bright=split + _quantile(counts[split:], 0.5),
        share=float(counts[split:].sum()) / plane.size,
        border=float(np.count_nonzero(edge)) / len(edge),
        counts=counts,
    )


def peak_levels(plane: Grey) -> Levels:
    """As `measure_levels`, for ink so faint or so small that it makes no class of its own.

    Paper is the median; ink begins halfway to the grey that is farthest from it. The plane should be smooth, or that
    grey is noise.
    """
    counts = _histogram(plane)
    paper = _quantile(counts, 0.5)
    seen = np.flatnonzero(counts)
    lowest, highest = int(seen[0]), int(seen[-1])
    dark_ink = paper - lowest > highest - paper
    share = 1.0 if dark_ink else 0.0
    dark, bright = (lowest, paper) if dark_ink else (paper, highest)
    return Levels((dark + bright) // 2, dark, bright, share, share, counts)


def _histogram(plane: Grey) -> NDArray[np.float32]:
    return np.asarray(cv2.calcHist([plane], [0], None, [256], [0, 256]), np.float32).ravel()


def _quantile(counts: NDArray[np.float32], share: float) -> int:
    """The first index at which ``share`` of the counts is reached."""
    total = counts.cumsum()
    return int(np.searchsorted(total, share * total[-1])) if len(counts) else 0


def ink_strength(plane: Grey, levels: Levels, *, dark_ink: bool) -> Grey | None:
    """How much of each pixel is ink, where ink is the dark or the bright class; None where it is too faint.

    The median of the paper is no ink, and what lies as far from it as `FULL` of the ink does is all ink.
    """
    split = levels.threshold + 1
    if dark_ink:
        paper, paper_counts, ink_counts = levels.bright, levels.counts[split:], levels.counts[:split][::-1]
        level = paper - (split - 1 - _quantile(ink_counts, FULL))
        deviations = np.abs(np.arange(split, 256) - paper)
    else:
        paper, paper_counts, ink_counts = levels.dark, levels.counts[:split], levels.counts[split:]
        level = split + _quantile(ink_counts, FULL) - paper
        deviations = np.abs(np.arange(split) - paper)
    if not ink_counts.any() or level < MIN_CONTRAST:
        return None
    noise = float(paper_counts @ deviations) / max(float(paper_counts.sum()), 1)
    if level < MIN_CONTRAST_TO_NOISE * noise:
        return None
    away = (paper - np.arange(256)) * (1 if dark_ink else -1)
    table = np.clip(np.rint(away * (255 / level)), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(plane, table), np.uint8)


def without_shadow(plane: Grey, *, dark_ink: bool) -> Grey:
    """The difference of each pixel from its paper, under light that changes slowly or shadows with sharp edges.

    Paper is a grey closing (for dark ink) or opening by a square of `SHADOW`, which nothing narrower survives; the
    difference is the top-hat transform (Meyer 1979), for dark ink as a share of the paper's grey.
    """
    side = max(3, round(max(plane.shape) * SHADOW))
    kernel = np.ones((side, side), np.uint8)
    if dark_ink:
        paper = cv2.max(cv2.morphologyEx(plane, cv2.MORPH_CLOSE, kernel), np.ones_like(plane))
        return np.asarray(255 - np.asarray(cv2.divide(plane, paper, scale=255), np.uint8), np.uint8)
    return np.asarray(cv2.morphologyEx(plane, cv2.MORPH_TOPHAT, kernel), np.uint8)
