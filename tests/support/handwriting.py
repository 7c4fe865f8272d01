"""Digits as pen strokes: points x, y in [0, 1], y downward; written with a hand that is never twice the same."""

import itertools

import numpy as np

Stroke = list[tuple[float, float]]


def _arc(cx: float, cy: float, rx: float, ry: float, start: float, end: float, points: int = 14) -> Stroke:
    """Part of an ellipse, from angle to angle in degrees, clockwise on the screen from three o'clock."""
    angles = np.radians(np.linspace(start, end, points))
    return [(cx + rx * float(np.cos(a)), cy + ry * float(np.sin(a))) for a in angles]


def _line(*corners: tuple[float, float], points: int = 7) -> Stroke:
    steps = np.linspace(0, 1, points)
    pairs = itertools.pairwise(corners)
    return [(a[0] + (b[0] - a[0]) * float(t), a[1] + (b[1] - a[1]) * float(t)) for a, b in pairs for t in steps]


DIGITS: dict[int, list[Stroke]] = {
    0: [_arc(0.5, 0.5, 0.3, 0.48, -80, 282, 28)],
    1: [_line((0.34, 0.22), (0.54, 0.02), (0.54, 0.98))],
    2: [_arc(0.48, 0.28, 0.3, 0.26, -165, 30) + _line((0.74, 0.42), (0.2, 0.97), (0.84, 0.95))],
    3: [_arc(0.45, 0.26, 0.28, 0.24, -150, 85) + _arc(0.45, 0.73, 0.32, 0.25, -80, 150)],
    4: [_line((0.42, 0.03), (0.16, 0.62), (0.86, 0.6)), _line((0.66, 0.32), (0.64, 0.99))],
    5: [_line((0.3, 0.05), (0.26, 0.45)) + _arc(0.46, 0.68, 0.3, 0.28, -130, 150), _line((0.3, 0.05), (0.78, 0.04))],
    6: [_line((0.66, 0.03), (0.4, 0.3), (0.26, 0.62)) + _arc(0.5, 0.72, 0.25, 0.25, -180, 185, 22)],
    7: [_line((0.2, 0.07), (0.8, 0.05), (0.42, 0.98))],
    8: [_arc(0.5, 0.26, 0.22, 0.23, 60, -270, 20) + _arc(0.5, 0.74, 0.27, 0.25, -90, 250, 22)],
    9: [_arc(0.5, 0.28, 0.25, 0.25, -30, -370, 22) + _line((0.75, 0.24), (0.72, 0.6), (0.6, 0.98))],
}
SCRIBBLE: list[Stroke] = [
    [(0.5 + 0.4 * float(np.sin(5.3 * t)), 0.5 + 0.4 * float(np.sin(7.1 * t + 0.5))) for t in np.linspace(0, 6, 90)]
]


def written(digit: int, random: np.random.Generator, *, size: float, at: tuple[float, float]) -> list[Stroke]:
    """A digit of this height, its middle at a place; slanted, stretched and shaken a little."""
    slant, wide = random.normal(0, 0.06), float(np.exp(random.normal(0, 0.06)))
    strokes = []
    for stroke in DIGITS[digit]:
        points = np.array(stroke) - 0.5
        points[:, 0] = points[:, 0] * wide - points[:, 1] * slant
        shaken = points + random.normal(0, 0.006, points.shape)
        strokes.append([(at[0] + size * float(x), at[1] + size * float(y)) for x, y in shaken])
    return strokes
