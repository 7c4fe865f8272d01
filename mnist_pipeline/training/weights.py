"""Weights as arrays, and their digest. Pure."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.files import canonical_json

Arrays = list[NDArray[Any]]


def weights_digest(weights: Sequence[NDArray[Any]]) -> str:
    """Hex SHA-256 over dtype, shape and little-endian bytes of each array, in order."""
    digest = hashlib.sha256()
    for array in weights:
        digest.update(canonical_json([array.dtype.name, list(array.shape)]))
        digest.update(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False)).tobytes())
    return digest.hexdigest()
