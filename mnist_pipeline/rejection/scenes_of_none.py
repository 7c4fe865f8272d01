"""Scenes that show no single digit. Each function draws on a sheet."""

import numpy as np

from mnist_pipeline.imaging import painting
from mnist_pipeline.imaging.painting import Ink
from mnist_pipeline.rejection import scenes_of_one as one
from mnist_pipeline.rejection.sheet import Sheet

SIGNS = ("-", "+", "=", "x", "(", ")", "/", "%", "$", "#", "<", ">", "*", "!", "?")
LETTERS = "acdefhkmnprtuvwxyACDEFHKLMNPRTUVWXY"
"""None looks like a digit in each of the fonts."""


def several(sheet: Sheet) -> None:
    sheet.shows_one = False
    gap = sheet.uniform(-0.1, 0.35)
    parts = [sheet.another() for _ in range(sheet.random.integers(1, 3))]
    _append(sheet, parts, gap, before=False)


def sign(sheet: Sheet) -> None:
    sheet.shows_one = False
    text = str(sheet.random.choice(SIGNS))
    sign = painting.type_text(
        text, sheet.unit * sheet.uniform(0.6, 1.1), int(sheet.random.integers(painting.FONTS)), sheet.width
    )
    _append(sheet, [sign], sheet.uniform(0.1, 0.5), before=sheet.random.random() < 0.7)


def _append(sheet: Sheet, parts: list[Ink], gap: float, *, before: bool) -> None:
    row = [*parts, sheet.digit] if before else [sheet.digit, *parts]
    height = max(part.shape[0] for part in row)
    step = round(gap * sheet.unit)
    line = np.zeros((height, sum(part.shape[1] + step for part in row) - step + sheet.digit.shape[1]), np.float32)
    x = 0.0
    for part in row:
        painting.put(line, part, (x + part.shape[1] / 2, height / 2))
        x += part.shape[1] + step
    sheet.digit = painting.cropped(line)
    sheet.space(*sheet.random.uniform(1.1, 1.8, 2))


def struck_out(sheet: Sheet) -> None:
    sheet.shows_one = False
    sheet.space(*sheet.random.uniform(1.4, 2.2, 2))
    left, top, right, bottom = sheet.box
    out = sheet.unit * 0.15
    lines = [[(left - out, bottom), (right + out, top)], [(left - out, top), (right + out, bottom)]]
    middle = (top + bottom) / 2
    lines.append([(left - out, middle), (right + out, middle + sheet.unit * sheet.random.normal(0, 0.08))])
    count = sheet.random.integers(1, 4)
    for number in sheet.random.permutation(3)[:count]:
        painting.stroke(sheet.ink, lines[number], sheet.width)


def scribble(sheet: Sheet) -> None:
    sheet.shows_one = False
    sheet.digit = np.zeros((round(sheet.unit), round(sheet.unit)), np.float32)
    points = sheet.random.uniform(0.1, 0.9, (sheet.random.integers(5, 12), 2)) * sheet.unit
    painting.stroke(sheet.digit, [tuple(point) for point in points], sheet.width)
    sheet.space(*sheet.random.uniform(1.1, 2.2, 2))


def word(sheet: Sheet) -> None:
    sheet.shows_one = False
    letters = "".join(sheet.random.choice(list("acdefhkmnprtuvwxyABCDEFHKLMNPRTUVWXY"), sheet.random.integers(1, 5)))
    sheet.digit = painting.type_text(letters, sheet.unit * 0.7, int(sheet.random.integers(painting.FONTS)), sheet.width)
    sheet.space(*sheet.random.uniform(1.1, 2.2, 2))


def nothing(sheet: Sheet) -> None:
    """Empty paper, or an empty box, cell or line; an empty circle is a 0."""
    sheet.shows_one = False
    around = (one.plain, one.boxed, one.ruled, one.underlined, one.cell)
    around[sheet.random.integers(len(around))](sheet)
    sheet.digit = np.zeros((1, 1), np.float32)
