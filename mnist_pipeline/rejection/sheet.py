"""A sheet on which a scene is drawn: one hand, one pen, one paper, and a digit somewhere on it."""

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.imaging import painting
from mnist_pipeline.imaging.painting import Ink, Point

UNITS = (20, 28, 36, 50, 70, 100, 140)
"""Heights of digits, pixels, each changed by up to a quarter."""
WHOLE, AROUND = (1.3, 2.6), (0.02, 0.1)
"""Sides of a sheet, in heights of a digit; widths of lines drawn on it, likewise."""


class Sheet:
    """A sheet that is being drawn.

    Attributes:
        random: numbers.
        digits: uint8 [n, 28, 28] to write from.
        unit: height of a digit, pixels.
        row: of the digit that is written.
        digit: its ink, float32 [h', w'] in [0, 1]; it is laid on the sheet last.
        middle: where it then stands, x and y.
        ink: float32 [h, w] in [0, 1], what else is drawn.
        grey, pen: of the paper and of the ink, 0..255.
        light: what both are multiplied with.
        shows_one: one digit is to be seen.
        width: of drawn lines, pixels.
    """

    def __init__(self, digits: NDArray[np.uint8], random: np.random.Generator) -> None:
        self.random = random
        self.digits = digits
        self.unit = float(random.choice(UNITS) * random.uniform(0.8, 1.25))
        self.row = int(random.integers(len(digits)))
        self.digit = self.another(self.row)
        self.space(*random.uniform(*WHOLE, 2))
        bright, dim = random.uniform(170, 255), random.uniform(0, 90)
        self.grey, self.pen = (bright, dim) if random.random() < 0.75 else (dim, bright)
        self.light: NDArray[np.float32] | float = 1.0
        self.shows_one = True
        self.width = max(1.0, self.unit * random.uniform(*AROUND))

    def another(self, row: int | None = None, share: float = 1.0) -> Ink:
        """A digit in this hand."""
        rows = self.random.integers(len(self.digits)) if row is None else row
        weight = self.random.choice([0, 0, self.random.uniform(-0.09, 0.1)])
        return painting.write(
            self.digits[rows],
            self.unit * share,
            weight=float(weight),
            slant=self.random.normal(0, 0.08),
            turn=self.random.normal(0, 4),
        )

    def space(self, wide: float, tall: float) -> None:
        """A sheet so many times as large as the digit's box, the digit somewhere on it."""
        height, width = self.digit.shape
        longer = max(height, width)
        self.shape = (round(max(height * 1.05, longer * tall)) + 2, round(max(width * 1.05, longer * wide)) + 2)
        self.ink = np.zeros(self.shape, np.float32)
        free_x, free_y = (self.shape[1] - width) / 2, (self.shape[0] - height) / 2
        shift = self.random.uniform(-0.5, 0.5, 2)
        self.middle: Point = (self.shape[1] / 2 + free_x * shift[0], self.shape[0] / 2 + free_y * shift[1])

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the digit."""
        (x, y), (height, width) = self.middle, self.digit.shape
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2

    def uniform(self, low: float, high: float) -> float:
        return float(self.random.uniform(low, high))
