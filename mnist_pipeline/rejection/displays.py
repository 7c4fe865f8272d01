"""What displays of seven segments show: digits, and signs that are not digits.

Each function draws one picture on a canvas of `imaging.drawing`. Random numbers come from the caller.
"""

import numpy as np

from mnist_pipeline.imaging import drawing
from mnist_pipeline.imaging.drawing import Canvas

Random = np.random.Generator
SEGMENTS = {
    "a": ((0, 0), (1, 0)),
    "b": ((1, 0), (1, 1)),
    "c": ((1, 1), (1, 2)),
    "d": ((0, 2), (1, 2)),
    "e": ((0, 1), (0, 2)),
    "f": ((0, 0), (0, 1)),
    "g": ((0, 1), (1, 1)),
}
"""By their usual letters: x and y of both ends, in widths and half heights."""
DIGITS = ("abcdef", "bc", "abdeg", "abcdg", "bcfg", "acdfg", "acdefg", "abc", "abcdefg", "abcdfg")
"""Class -> the segments that are lit."""
LIKE_DIGITS = frozenset({*DIGITS, "cdefg", "abcfg", "cdeg", "abfg"})
"""With a 6 and a 9 without a bar, which are letters too, and half an 8."""
FEW, MANY = 2, 5
"""Segments that are lit beside the middle one where no digit is shown; without that one, most are an open 0."""


def digit(random: Random) -> tuple[Canvas, int]:
    """A digit, and its class."""
    label = int(random.integers(10))
    return _lit(DIGITS[label], random), label


def sign(random: Random) -> Canvas:
    """What is no digit, such as a letter."""
    while True:
        beside = random.choice(list("abcdef"), random.integers(FEW, MANY + 1), replace=False)
        lit = "".join(sorted([*beside, "g"]))
        if lit not in LIKE_DIGITS:
            return _lit(lit, random)


def _lit(letters: str, random: Random) -> Canvas:
    wide, lean, gap = random.uniform(0.7, 1.4), random.uniform(-0.05, 0.25), random.uniform(0, 0.22)
    ends = np.array([SEGMENTS[letter] for letter in letters], np.float32)
    ends += gap * (ends[:, ::-1] - ends)
    ends[:, :, 0] = wide * ends[:, :, 0] + lean * (2 - ends[:, :, 1])
    return drawing.draw_strokes(list(ends), random.uniform(4, 16))
