"""The embedded digits: real handwriting in MNIST's form."""

import numpy as np
import pytest
from numpy.typing import NDArray

from mnist_pipeline.data.digits import load_embedded_digits


@pytest.fixture(scope="session")
def digits() -> NDArray[np.uint8]:
    """uint8 [1000, 28, 28]; the row modulo 10 is the digit."""
    images, labels = load_embedded_digits()
    return images[np.stack([np.flatnonzero(labels == digit)[:100] for digit in range(10)], axis=1).ravel()]
