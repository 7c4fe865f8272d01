"""Glyphs as pen strokes: digits and other signs, from the Hershey fonts (A. V. Hershey, NBS 1967).

Letters and signs of many scripts; what looks like a digit is left out.
"""

import string
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np

from mnist_pipeline.errors import MissingExtraError
from mnist_pipeline.imaging.drawing import Stroke

Glyph = tuple[Stroke, ...]
ROMAN = frozenset(
    {
        *("futural", "futuram", "rowmans", "rowmand", "rowmant", "scripts", "scriptc", "cursive"),
        *("timesr", "timesrb", "timesi", "timesib", "timesg"),
        *("gothiceng", "gothicger", "gothicita", "gothgbt", "gothgrt", "gothitt"),
    }
)
OTHER_ALPHABETS = frozenset({"greek", "greeks", "greekc", "cyrillic", "cyrilc_1"})
SIGNS = frozenset({"astrology", "markers", "meteorology", "music", "symbolic", "japanese", "mathlow", "mathupp"})
BLACKLETTER = ("goth",)
TOO_SMALL = "!:;.,'`\""
LIKE_DIGITS_ROMAN = frozenset("OoIl|SsZzBgqbQD/\\" + TOO_SMALL)
LIKE_DIGITS_OTHER = frozenset("OoIlSsZzBbqQ9|/\\" + TOO_SMALL)
LEAST_SIZE = 6
"""Longer side of a glyph, font units; capitals have 21."""
STRAIGHT = 0.97
"""A stroke whose ends are farther apart than this share of its length is straight: upright or slanting, it is a 1."""


class Glyphs(NamedTuple):
    """Of all fonts."""

    digits: tuple[tuple[Glyph, ...], ...]
    """Class -> its glyphs."""
    others: tuple[Glyph, ...]
    """Glyphs that are no digit and look like none."""


@cache
def load_glyphs() -> Glyphs:
    """All of them, in a fixed order.

    Raises:
        MissingExtraError: the fonts are not installed.
    """
    digits: list[list[Glyph]] = [[] for _ in range(10)]
    others: list[Glyph] = []
    for font, character, glyph in _each_glyph():
        if character in string.digits and font not in SIGNS:
            if not font.startswith(BLACKLETTER):
                digits[int(character)].append(glyph)
        elif not _looks_like_digit(font, character, glyph):
            others.append(glyph)
    known = {_key(glyph) for of_class in digits for glyph in of_class}  # fonts of signs hold digits as well
    return Glyphs(tuple(map(tuple, digits)), tuple(glyph for glyph in others if _key(glyph) not in known))


def _key(glyph: Glyph) -> tuple[bytes, ...]:
    return tuple(stroke.tobytes() for stroke in glyph)


def _each_glyph() -> Iterator[tuple[str, str, Glyph]]:
    try:
        from HersheyFonts import HersheyFonts
    except ImportError:
        raise MissingExtraError("training the network that knows what is no digit", "train") from None
    fonts = HersheyFonts()
    for font in sorted(fonts.default_font_names):
        fonts.load_default_font(font)
        for code in sorted(fonts.all_glyphs):
            strokes = tuple(np.array(one, np.float32) for one in fonts.all_glyphs[code].strokes if len(one) > 1)
            if strokes and float(np.ptp(np.concatenate(strokes), axis=0).max()) >= LEAST_SIZE:
                yield font, code, strokes


def _looks_like_digit(font: str, character: str, glyph: Glyph) -> bool:
    if font in ROMAN and character in LIKE_DIGITS_ROMAN:
        return True
    if font in OTHER_ALPHABETS and character in LIKE_DIGITS_OTHER:
        return True
    if len(glyph) > 1:
        return False
    steps = np.diff(glyph[0], axis=0)
    across, down = steps.sum(axis=0)
    return bool(np.hypot(across, down) > STRAIGHT * np.hypot(*steps.T).sum() and abs(down) > abs(across) / 2)
