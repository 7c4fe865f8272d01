"""The embedded dataset: scikit-learn's 1,797 real digits, drawn onto MNIST's canvas.

They are the test part of "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak, UCI,
1998): 8x8 images of 0..16 that count the ink in 4x4 blocks of a 32x32 bitmap. MNIST's own form
is LeCun's description (yann.lecun.com/exdb/mnist): the digit scaled to fit 20x20 pixels with its
aspect kept, then placed by its centre of mass at the centre of a 28x28 field.

All arithmetic is in integers, so that every platform and library version draws the same pixels.

The rows are shuffled, by a constant seed. The source goes writer by writer, thirteen in all; in
its own order the test part would be two or three people's writing, whose habits and not the model
would decide the figures (a support vector machine finds 68 % of the threes there, 91 % in the
shuffled order). The price: accuracy on ``digits`` says nothing of writers that were not trained on.
"""

import warnings

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline import INK_SIDE, SIDE
from mnist_pipeline.data.order import stable_permutation
from mnist_pipeline.errors import MissingExtraError

SOURCE_MAXIMUM = 16
"""Value of full ink in the source."""
ORDER_SEED = 0
"""Seed of the rows' order; part of the dataset's identity."""


def load_embedded_digits() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images uint8 [1797, 28, 28] (0 background, 255 ink) and class indices uint8 [1797].

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what its imports deprecate is not the user's business
            from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingExtraError("the embedded digits dataset (scikit-learn)", "train") from error
    bunch = load_digits()
    order = stable_permutation(len(bunch.target), ORDER_SEED)
    images = np.stack([draw_on_canvas(small) for small in bunch.images[order].astype(np.int64)])
    return images, bunch.target[order].astype(np.uint8)


def draw_on_canvas(small: NDArray[np.int64]) -> NDArray[np.uint8]:
    """A small digit as MNIST would show it.

    Args:
        small: int64 [height, width], 0 = background, `SOURCE_MAXIMUM` = full ink; some ink at least.

    Returns:
        uint8 [28, 28]: 0 = background, 255 = full ink.
    """
    rows, columns = np.nonzero(small)
    ink = small[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    height, width = ink.shape
    longer = max(height, width)
    enlarged = _resize(ink, _rounded(height * INK_SIDE, longer), _rounded(width * INK_SIDE, longer))
    canvas = np.zeros((SIDE, SIDE), np.uint8)
    top = _offset(enlarged.sum(axis=1))
    left = _offset(enlarged.sum(axis=0))
    canvas[top : top + enlarged.shape[0], left : left + enlarged.shape[1]] = enlarged
    return canvas


def _rounded(numerator: int, denominator: int) -> int:
    """The nearest integer to the quotient of two positive integers; halves go up."""
    return (2 * numerator + denominator) // (2 * denominator)


def _resize(ink: NDArray[np.int64], height: int, width: int) -> NDArray[np.int64]:
    """Bilinear enlargement to [height, width], values 0..255, exact but for one final rounding."""
    vertical = _bilinear_weights(ink.shape[0], height)
    horizontal = _bilinear_weights(ink.shape[1], width)
    scale = SOURCE_MAXIMUM * (2 * height) * (2 * width)
    return (2 * 255 * (vertical @ ink @ horizontal.T) + scale) // (2 * scale)


def _bilinear_weights(source: int, target: int) -> NDArray[np.int64]:
    """int64 [target, source]: weight of each source pixel in each target pixel, in units of 1 / (2 * target).

    Pixel centres correspond: target i lies at (i + 1/2) * source / target - 1/2, held within the source.
    """
    position = np.clip((2 * np.arange(target) + 1) * source - target, 0, 2 * target * (source - 1))
    lower, fraction = np.divmod(position, 2 * target)
    upper = np.minimum(lower + 1, source - 1)
    weights = np.zeros((target, source), np.int64)
    np.add.at(weights, (np.arange(target), lower), 2 * target - fraction)
    np.add.at(weights, (np.arange(target), upper), fraction)
    return weights


def _offset(mass: NDArray[np.int64]) -> int:
    """Where along one axis to place the ink, so that its centre of mass is where MNIST has it.

    That is pixel `SIDE` / 2, counted from 0, within half a pixel: half a pixel right of and below the exact
    middle. The centres of MNIST's train images lie in 13.48..14.50 along both axes, on average at 14.0.

    Args:
        mass: int64 [n], ink per line across the axis.
    """
    lines = len(mass)
    # Twice the centre of mass, counted from the ink's first line.
    moment = int((2 * np.arange(lines) * mass).sum())
    total = int(mass.sum())
    offset = (SIDE * total - moment + total) // (2 * total)
    return min(max(offset, 0), SIDE - lines)
