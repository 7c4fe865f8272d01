"""Images of the dataset as one picture."""

from typing import TYPE_CHECKING

import numpy as np

from mnist_pipeline import SIDE
from mnist_pipeline.reporting.inputs import Image, ReportInputs
from mnist_pipeline.reporting.plots.axes import Margins, Values, new_figure
from mnist_pipeline.reporting.plots.palette import Palette
from mnist_pipeline.reporting.view import Digit, ordinary_digits

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 10
ACROSS, DOWN = SIDE + 6, SIDE + 12
"""Pixels from one image to the next; below each is room for its caption."""
INCHES = 0.026
"""Of a pixel."""


def test_digits(inputs: ReportInputs, palette: Palette) -> "Figure":
    """Ordinary test images: below each what it is, and, where the model reads it wrong, what it reads."""
    digits = ordinary_digits(inputs)
    sheet = _sheet([inputs.images[digit.row] for digit in digits])
    height, width = sheet.shape
    nothing = Margins(left=0, right=0, bottom=0, top=0)
    figure, axes = new_figure(palette, width * INCHES, height * INCHES, margins=nothing)
    axes.axis("off")
    axes.imshow(sheet, cmap="gray", vmin=0, vmax=255, interpolation="none", aspect="auto")
    for place, digit in enumerate(digits):
        row, column = divmod(place, COLUMNS)
        x, y = column * ACROSS + ACROSS / 2, row * DOWN + DOWN - 5
        colour = palette.wrong if digit.wrong else palette.muted
        axes.text(x, y, _caption(digit), ha="center", va="center", fontsize=7, color=colour)
    return figure


def _sheet(images: list[Image]) -> Values:
    """The images in rows; NaN between them, where the paper is seen."""
    rows = -(-len(images) // COLUMNS)
    sheet = np.full((rows * DOWN, COLUMNS * ACROSS), np.nan)
    for place, image in enumerate(images):
        row, column = divmod(place, COLUMNS)
        top, left = row * DOWN + 2, column * ACROSS + (ACROSS - SIDE) // 2
        sheet[top : top + SIDE, left : left + SIDE] = image
    return sheet


def _caption(digit: Digit) -> str:
    return f"{digit.true} as {digit.predicted}" if digit.wrong else str(digit.true)
