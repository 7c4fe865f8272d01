"""What the network that knows "no digit" is shown: digits by many pens, and pictures that are none.

Everything is made of train rows and of glyphs drawn as pen strokes; nothing that anybody handed in is among it.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.imaging import drawing
from mnist_pipeline.imaging.drawing import CANVAS, Canvas
from mnist_pipeline.rejection import negatives

NONE = 10
"""The class of what is none of the ten."""
OTHER_PEN_SHARE = 0.3
"""Of the negatives: drawn by another pen as well."""


class Samples(NamedTuple):
    """Pictures in MNIST's form, uint8 [n, 28, 28], and their classes, uint8 [n]: 0 to 9, or `NONE`."""

    images: NDArray[np.uint8]
    classes: NDArray[np.uint8]


def draw_samples(
    images: NDArray[np.uint8], labels: NDArray[np.uint8], rows: int, random: np.random.Generator
) -> Samples:
    """About five pictures for each of ``rows``; the same for the same random numbers.

    Args:
        images: uint8 [n, 28, 28] of train rows; may be a memory map.
        labels: uint8 [n].
        rows: how many of them are shown as they are; as many are drawn by other pens.
        random: numbers.

    Raises:
        MissingExtraError: the stroke fonts are not installed.
    """
    drawn: list[tuple[NDArray[np.uint8] | None, int]] = []

    def pick(*but: int) -> tuple[Canvas, int]:
        while True:
            row = int(random.integers(len(images)))
            if labels[row] not in but:
                return drawing.enlarge(images[row]), int(labels[row])

    def by_any_pen(canvas: Canvas, share: float) -> NDArray[np.uint8] | None:
        other = canvas.shape == (CANVAS, CANVAS) and random.random() < share
        return drawing.in_form(drawing.other_pen(canvas, random) if other else canvas)

    drawn += [(images[row], int(labels[row])) for row in random.integers(len(images), size=rows).tolist()]
    for _ in range(rows):
        canvas, label = pick()
        drawn.append((by_any_pen(canvas, 1), label))
    for _ in range(rows // 3):
        canvas, label = negatives.digit_glyph(random)
        drawn.append((by_any_pen(canvas, 0.5), label))
    drawn += [(by_any_pen(negatives.glyph(random), 0.5), NONE) for _ in range(rows * 6 // 5)]
    for draw in negatives.KINDS.values():
        drawn += [(by_any_pen(draw(pick, random), OTHER_PEN_SHARE), NONE) for _ in range(rows // 8)]
    whole = [(image, label) for image, label in drawn if image is not None]
    return Samples(np.stack([image for image, _ in whole]), np.array([label for _, label in whole], np.uint8))
