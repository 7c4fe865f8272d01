"""MNIST's form: what every image and every label of this program is. The models take and tell nothing else."""

from typing import Final

SIDE: Final = 28
"""Pixels along each edge of an image."""
INK_SIDE: Final = 20
"""Pixels of the longer side of the ink, whose centre of mass lies at pixel `SIDE` / 2."""
CLASSES: Final = 10
"""Number of classes."""
