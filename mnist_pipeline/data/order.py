"""Orders that are drawn by a seed and the same on every platform and NumPy version. Pure."""

import numpy as np
from numpy.typing import NDArray


def stable_permutation(n: int, seed: int | tuple[int, ...]) -> NDArray[np.int64]:
    """int64 [n]: the numbers 0..n-1 in an order that ``seed`` decides.

    NumPy keeps the raw stream of a bit generator for ever, but not what `Generator.permutation`
    makes of it (NEP 19); so the order is that of the raw numbers.
    """
    return np.argsort(np.random.PCG64(seed).random_raw(n), kind="stable").astype(np.int64)
