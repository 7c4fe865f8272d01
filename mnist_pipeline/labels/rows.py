"""Rows of a dataset that must not be fitted, found again in own images."""

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.imaging.likeness import directions, ink_box, light_ink, most_similar, outline, shrinks_to
from mnist_pipeline.imaging.planes import Plane


class RowFinder:
    """Tells pictures that are drawn from rows: enlarged, inverted, or saved in another format.

    Args:
        rows: uint8 [n, 28, 28], light ink on dark.
    """

    def __init__(self, rows: NDArray[np.uint8]) -> None:
        self._boxes = [ink_box(row) for row in rows]
        self._directions = directions(np.array([outline(box) for box in self._boxes], np.uint8))

    def finds(self, plane: Plane) -> bool:
        """Whether the plane, uint8 [h, w], is drawn from one of them."""
        box = ink_box(light_ink(plane))
        return any(shrinks_to(box, self._boxes[place]) for place in most_similar(outline(box), self._directions))
