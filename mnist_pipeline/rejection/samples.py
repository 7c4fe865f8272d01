"""What the network that knows "no digit" is shown: digits by many pens, and pictures of something else.

Everything is made of train rows and of glyphs drawn as pen strokes; nothing that anybody handed in is among it.
"""

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.imaging import drawing
from mnist_pipeline.imaging.drawing import CANVAS, Canvas
from mnist_pipeline.rejection import displays, negatives
from mnist_pipeline.rejection.classes import NONE, Samples
from mnist_pipeline.rejection.hands import other_hands
from mnist_pipeline.rejection.mining import mine

OTHER_PEN_SHARE = 0.3
"""Of the negatives: drawn by another pen as well."""


def draw_samples(
    images: NDArray[np.uint8], labels: NDArray[np.uint8], rows: int, random: np.random.Generator
) -> Samples:
    """About eight pictures for each of ``rows``, half of them digits; the same for the same random numbers.

    Args:
        images: uint8 [n, 28, 28] of train rows; may be a memory map.
        labels: uint8 [n].
        rows: how many of them are shown as they are.
        random: numbers.

    Raises:
        MissingExtraError: the stroke fonts are not installed.
    """
    shown = random.integers(len(images), size=rows)
    written = other_hands(images, labels, rows // 3, random, written_share=1)
    digits = [
        Samples(images[shown], labels[shown]),
        Samples(*other_hands(images, labels, rows, random, written_share=0)),
        Samples(*written),
        _stacked([_by_any_pen(*negatives.digit_glyph(random), random, 0.5) for _ in range(rows // 4)]),
        _stacked([_by_any_pen(*displays.digit(random), random, OTHER_PEN_SHARE) for _ in range(rows // 16)]),
    ]
    mined = mine(
        np.concatenate([images[shown], written[0]]), np.concatenate([labels[shown], written[1]]), rows * 3 // 4, random
    )
    parts = [*digits, _none(images, labels, rows, random), mined]
    return Samples(*(np.concatenate(one) for one in zip(*parts, strict=True)))


def _none(images: NDArray[np.uint8], labels: NDArray[np.uint8], rows: int, random: np.random.Generator) -> Samples:
    """Pictures that are no digit; arguments as `draw_samples`."""

    def pick(*but: int) -> tuple[Canvas, int]:
        while True:
            row = int(random.integers(len(images)))
            if labels[row] not in but:
                return drawing.enlarge(images[row]), int(labels[row])

    drawn = [_by_any_pen(negatives.glyph(random), NONE, random, 0.5) for _ in range(rows * 6 // 5)]
    drawn += [_by_any_pen(displays.sign(random), NONE, random, OTHER_PEN_SHARE) for _ in range(rows // 16)]
    for draw in negatives.KINDS.values():
        drawn += [_by_any_pen(draw(pick, random), NONE, random, OTHER_PEN_SHARE) for _ in range(rows // 8)]
    return _stacked(drawn)


def _by_any_pen(
    canvas: Canvas, label: int, random: np.random.Generator, share: float
) -> tuple[NDArray[np.uint8] | None, int]:
    """A canvas in MNIST's form (None without ink), the given share of them drawn by another pen; and its class."""
    other = canvas.shape == (CANVAS, CANVAS) and random.random() < share
    return drawing.in_form(drawing.other_pen(canvas, random) if other else canvas), label


def _stacked(drawn: list[tuple[NDArray[np.uint8] | None, int]]) -> Samples:
    """Those that have ink."""
    whole = [(image, label) for image, label in drawn if image is not None]
    return Samples(np.stack([image for image, _ in whole]), np.array([label for _, label in whole], np.uint8))
