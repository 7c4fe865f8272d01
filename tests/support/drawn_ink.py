"""Pictures that tests draw: ink in [0, 1], laid on paper."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

SIDE = 28
Ink = NDArray[np.float32]


def large(digit: NDArray[np.uint8], factor: int = 6, margin: int = 40) -> Ink:
    """A digit in MNIST's form, enlarged, its edges crisp, with paper around it."""
    side = SIDE * factor
    smooth = Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC)
    crisp = Image.fromarray(np.uint8(np.asarray(smooth) > 110) * 255).filter(ImageFilter.GaussianBlur(1))
    return np.pad(np.asarray(crisp, np.float32) / 255, margin)


def on_paper(ink: Ink, *, paper: float = 230, pen: float = 40) -> NDArray[np.uint8]:
    return (paper - (paper - pen) * ink).clip(0, 255).astype(np.uint8)


def box(ink: Ink) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the ink."""
    rows, columns = np.flatnonzero((ink > 0.5).any(axis=1)), np.flatnonzero((ink > 0.5).any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


def with_lines(ink: Ink, *lines: tuple[tuple[float, float], ...], width: int = 5) -> Ink:
    """The ink, and lines through these points (x, y)."""
    canvas = Image.fromarray(np.uint8(ink * 255))
    for points in lines:
        ImageDraw.Draw(canvas).line(points, fill=255, width=width, joint="curve")
    return np.asarray(canvas, np.float32) / 255


def likeness(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Correlation of two images, at the best shift by at most a pixel."""
    shifts = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    return max(float(np.corrcoef(one.ravel(), np.roll(other, shift, (0, 1)).ravel())[0, 1]) for shift in shifts)
