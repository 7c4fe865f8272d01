"""Scenes that show one digit: on what, in what light and by what pen. Each function draws on a sheet."""

import numpy as np

from mnist_pipeline.imaging import painting
from mnist_pipeline.rejection.sheet import Sheet


def plain(_: Sheet) -> None:
    pass


def tight(sheet: Sheet) -> None:
    sheet.space(1.0, 1.0)


def small(sheet: Sheet) -> None:
    sheet.unit = sheet.uniform(14, 40)
    sheet.digit = sheet.another(sheet.row)
    sheet.space(*sheet.random.uniform(6, 16, 2))


def stretched(sheet: Sheet) -> None:
    height, width = sheet.digit.shape
    share = sheet.uniform(0.4, 0.65)
    size = (
        (max(3, round(width * share)), height)
        if sheet.random.random() < 0.5
        else (width, max(3, round(height * share)))
    )
    sheet.digit = painting.resized(sheet.digit, size)


def hollow(sheet: Sheet) -> None:
    sheet.digit = painting.hollow(sheet.digit, max(1.0, sheet.unit * sheet.uniform(0.015, 0.04)))


def dotted(sheet: Sheet) -> None:
    sheet.digit = painting.dotted(sheet.digit, max(3.0, sheet.unit * sheet.uniform(0.05, 0.1)), sheet.uniform(0.7, 1.0))


def broken(sheet: Sheet) -> None:
    height = len(sheet.digit)
    for _ in range(sheet.random.integers(1, 3)):
        gap = max(1, round(sheet.uniform(0.03, 0.08) * height))
        row = sheet.random.integers(height // 5, max(height - height // 5, height // 5 + 1))
        sheet.digit[row : row + gap] = 0


def gradient(sheet: Sheet) -> None:
    sheet.light = painting.slope_of_light(sheet.shape, *sheet.random.uniform(-0.8, 0.8, 2))


def shadow(sheet: Sheet) -> None:
    place = (sheet.uniform(0, 1) * sheet.shape[1], sheet.uniform(0, 1) * sheet.shape[0])
    sheet.light = painting.edge_of_shadow(
        sheet.shape, place, sheet.uniform(0, 2 * np.pi), sheet.uniform(0.25, 0.6), sheet.uniform(1, 0.2 * sheet.unit)
    )


def circled(sheet: Sheet) -> None:
    sheet.space(*sheet.random.uniform(2.0, 2.8, 2))
    height, width = sheet.digit.shape
    around = np.hypot(height, width) / 2 * sheet.uniform(1.1, 1.4)
    radii = (around * sheet.uniform(0.85, 1.15), around)
    sweep = sheet.random.choice([360.0, 360.0, sheet.uniform(310, 350), sheet.uniform(362, 390)])
    painting.oval(sheet.ink, sheet.middle, radii, sheet.width, start=sheet.uniform(0, 360), sweep=float(sweep))


def boxed(sheet: Sheet) -> None:
    sheet.space(*sheet.random.uniform(1.8, 2.8, 2))
    height, width = sheet.digit.shape
    radii = (width / 2 + sheet.unit * sheet.uniform(0.12, 0.5), height / 2 + sheet.unit * sheet.uniform(0.12, 0.5))
    painting.rectangle(sheet.ink, sheet.middle, radii, sheet.width)


def cell(sheet: Sheet) -> None:
    """One cell of a form: the neighbours' borders run on; the digit may touch its own."""
    _, top, _, bottom = sheet.box
    gap = sheet.unit * sheet.uniform(-0.02, 0.3)
    for y in (top - gap, bottom + sheet.unit * sheet.uniform(-0.02, 0.3)):
        painting.stroke(sheet.ink, [(0, y), (sheet.shape[1], y)], sheet.width * 0.6)
    pitch = sheet.digit.shape[1] + sheet.unit * sheet.uniform(0.3, 0.8)
    for number in (-2, -1, 0, 1):
        x = sheet.middle[0] + (number + 0.5) * pitch
        painting.stroke(sheet.ink, [(x, top - gap), (x, bottom + gap)], sheet.width * 0.6)


def ruled(sheet: Sheet) -> None:
    sheet.space(*sheet.random.uniform(1.6, 3.0, 2))
    pitch, tilt = sheet.unit * sheet.uniform(0.35, 1.3), sheet.uniform(-0.03, 0.03) * sheet.shape[1]
    strength = sheet.uniform(0.25, 1.0)
    lines = np.zeros_like(sheet.ink)
    for y in np.arange(sheet.uniform(0, pitch), sheet.shape[0], pitch):
        painting.stroke(lines, [(0, y), (sheet.shape[1], y + tilt)], sheet.width * 0.5)
    if sheet.random.random() < 0.3:
        for x in np.arange(sheet.uniform(0, pitch), sheet.shape[1], pitch):
            painting.stroke(lines, [(x, 0), (x - tilt, sheet.shape[0])], sheet.width * 0.5)
    np.maximum(sheet.ink, lines * np.float32(strength), out=sheet.ink)


def underlined(sheet: Sheet) -> None:
    sheet.space(*sheet.random.uniform(1.6, 2.6, 2))
    left, _, right, bottom = sheet.box
    y = bottom + sheet.unit * sheet.uniform(0.0, 0.25)
    reach = sheet.unit * sheet.random.uniform(0.0, 0.4, 2)
    tilt = sheet.unit * sheet.random.normal(0, 0.03)
    painting.stroke(sheet.ink, [(left - reach[0], y), (right + reach[1], y + tilt)], sheet.width)


def specks(sheet: Sheet) -> None:
    for _ in range(sheet.random.integers(2, 15)):
        place = sheet.random.uniform(0, 1, 2) * (sheet.shape[1], sheet.shape[0])
        painting.stroke(sheet.ink, [tuple(place), tuple(place + 0.1)], max(1.0, sheet.unit * sheet.uniform(0.01, 0.05)))


def neighbours(sheet: Sheet) -> None:
    """Parts of other digits, cut off by the picture's sides."""
    sheet.space(sheet.uniform(2.2, 3.2), sheet.uniform(1.2, 2.0))
    _, top, _, bottom = sheet.box
    for x in (-0.1 * sheet.unit, sheet.shape[1] + 0.1 * sheet.unit):
        if sheet.random.random() < 0.7:
            painting.put(sheet.ink, sheet.another(share=0.8), (x, (top + bottom) / 2))


def axes(sheet: Sheet) -> None:
    """A picture of an image in a plot: a frame around a canvas of the other polarity, ticks and numbers beside it."""
    canvas(sheet)
    height, width = sheet.shape
    for share in np.linspace(0.15, 0.85, 5):
        text = painting.type_text(str(int(share * 28)), max(5.0, 0.035 * height), 0, 1)
        painting.put(sheet.ink, text, (share * width, height * 0.96))
        painting.put(sheet.ink, text, (width * 0.03, share * height))


def canvas(sheet: Sheet) -> None:
    """A dark canvas on a light page, or a note on a dark table: paper and ink change places inside."""
    height, width = sheet.digit.shape
    longer = max(height, width)
    inner = (round(longer * sheet.uniform(1.2, 1.9)), round(longer * sheet.uniform(1.2, 1.9)))
    outer = (round(inner[0] * sheet.uniform(1.15, 2.2)), round(inner[1] * sheet.uniform(1.15, 2.2)))
    sheet.shape = outer
    sheet.ink = np.zeros(outer, np.float32)
    left, top = (
        round((outer[1] - inner[1]) * sheet.uniform(0.2, 0.8)),
        round((outer[0] - inner[0]) * sheet.uniform(0.2, 0.8)),
    )
    inside = np.ones(inner, np.float32)
    painting.put(inside, np.zeros((1, 1), np.float32), (0, 0))
    digit = np.zeros(inner, np.float32)
    painting.put(digit, sheet.digit, (inner[1] / 2, inner[0] / 2))
    sheet.ink[top : top + inner[0], left : left + inner[1]] = inside - digit
    sheet.digit = np.zeros((1, 1), np.float32)
