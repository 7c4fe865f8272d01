"""Bars and small pictures in characters, for a terminal. Block elements where it has them, else ASCII."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WIDTH = 20
"""Characters of the longest bar."""
HALVES = " \u2580\u2584\u2588"
"""Nothing, the upper half, the lower half, both."""
EIGHTHS = " \u258f\u258e\u258d\u258c\u258b\u258a\u2589\u2588"
SHADES = " .:-=+*#%@"
INK = 96
"""From this strength on, half a character is filled."""


def has_blocks() -> bool:
    """Whether standard output can take block elements."""
    try:
        (HALVES + EIGHTHS).encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def bar(share: float) -> str:
    """A bar of `WIDTH` characters, filled as far as the share in [0, 1] says."""
    if not has_blocks():
        return ("#" * round(share * WIDTH)).ljust(WIDTH)
    whole, rest = divmod(round(share * WIDTH * 8), 8)
    return (EIGHTHS[8] * whole + (EIGHTHS[rest] if rest else "")).ljust(WIDTH)


def picture(image: "NDArray[np.uint8]") -> list[str]:
    """An image [28, 28] (255 = ink) in 14 lines of 28 characters: two pixels, one above the other, are a character."""
    upper, lower = image[::2], image[1::2]
    if has_blocks():
        kinds = (upper >= INK) + 2 * (lower >= INK)
        return ["".join(HALVES[kind] for kind in line).rstrip() for line in kinds.tolist()]
    strength = (upper.astype(int) + lower) * len(SHADES) // 511
    return ["".join(SHADES[shade] for shade in line).rstrip() for line in strength.tolist()]
