"""The classes of the network that knows "no digit", and pictures of them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NONE = 10
"""The class of what shows no digit."""


class Samples(NamedTuple):
    """Pictures in MNIST's form, uint8 [n, 28, 28], and their classes, uint8 [n]: 0 to 9, or `NONE`."""

    images: NDArray[np.uint8]
    classes: NDArray[np.uint8]
