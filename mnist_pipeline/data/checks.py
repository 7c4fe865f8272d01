"""What the rows of a dataset look like, counted exactly. Pure."""

import hashlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline import CLASSES
from mnist_pipeline.schema import Record

PAIRS_SHOWN = 10
"""How many pairs of equal images are listed; all are counted."""
_BLOCK = 1_000


class SplitCounts(Record):
    """Images of each class, by class index."""

    train: list[int]
    test: list[int]


class Duplicates(Record):
    """Images that are equal, pixel for pixel, to an earlier one."""

    count: int
    pairs: list[tuple[int, int]]
    """The first pairs: row of the earlier image, row of the one that repeats it."""


class DataChecks(Record):
    """What was counted over all rows."""

    counts: SplitCounts
    pixel_mean: float
    """Of the train rows, pixels scaled to [0, 1]."""
    pixel_sd: float
    """Of the train rows, pixels scaled to [0, 1]; over all pixels, not a sample's estimate."""
    duplicates_within_train: Duplicates
    duplicates_within_test: Duplicates
    duplicates_across: Duplicates
    """Test images that are among the train images too: pairs of train row and test row."""


def check_rows(images: NDArray[np.uint8], labels: NDArray[np.uint8], train_rows: int) -> DataChecks:
    """Count classes, ink and repeated images.

    Args:
        images: uint8 [n, 28, 28]; read in blocks, so it may be memory-mapped.
        labels: uint8 [n], class indices.
        train_rows: the first so many rows are the train part, the others the test part.
    """
    mean, sd = _mean_and_sd(images[:train_rows])
    fingerprints = np.array(
        [hashlib.blake2b(row, digest_size=16).digest() for block in _blocks(images) for row in block], dtype="V16"
    )
    train, test = fingerprints[:train_rows], fingerprints[train_rows:]
    return DataChecks(
        counts=SplitCounts(train=_counts(labels[:train_rows]), test=_counts(labels[train_rows:])),
        pixel_mean=mean,
        pixel_sd=sd,
        duplicates_within_train=_repeats(train, first_row=0),
        duplicates_within_test=_repeats(test, first_row=train_rows),
        duplicates_across=_shared(train, test),
    )


def _blocks(images: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    for start in range(0, len(images), _BLOCK):
        yield np.ascontiguousarray(images[start : start + _BLOCK])


def _counts(labels: NDArray[np.uint8]) -> list[int]:
    counts: list[int] = np.bincount(labels, minlength=CLASSES).tolist()
    return counts


def _mean_and_sd(images: NDArray[np.uint8]) -> tuple[float, float]:
    """From the histogram of the 256 values, in integers up to the last division."""
    histogram = np.zeros(256, np.int64)
    for block in _blocks(images):
        histogram += np.bincount(block.reshape(-1), minlength=256)
    values = np.arange(256)
    pixels = int(histogram.sum())
    total, squares = int((histogram * values).sum()), int((histogram * values**2).sum())
    variance = (pixels * squares - total**2) / pixels**2
    return total / pixels / 255, variance**0.5 / 255


def _repeats(fingerprints: NDArray[np.void], first_row: int) -> Duplicates:
    _, first, group = np.unique(fingerprints, return_index=True, return_inverse=True)
    original = first[group]
    repeated = np.flatnonzero(original != np.arange(len(fingerprints)))
    pairs = [(int(original[row]) + first_row, int(row) + first_row) for row in repeated[:PAIRS_SHOWN]]
    return Duplicates(count=len(repeated), pairs=pairs)


def _shared(train: NDArray[np.void], test: NDArray[np.void]) -> Duplicates:
    known, first = np.unique(train, return_index=True)
    place = np.minimum(np.searchsorted(known, test), len(known) - 1)
    shared = np.flatnonzero(known[place] == test)
    pairs = [(int(first[place[row]]), int(row) + len(train)) for row in shared[:PAIRS_SHOWN]]
    return Duplicates(count=len(shared), pairs=pairs)
