"""A stored dataset as arrays: the train, validation and test splits, and random batches of them.

The test rows are for `evaluate` alone; validation rows come out of the train rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline import CLASSES
from mnist_pipeline.data.card import DatasetCard, read_card
from mnist_pipeline.data.order import stable_permutation
from mnist_pipeline.data.store import IMAGES, LABELS
from mnist_pipeline.errors import IntegrityError, UsageError

VALIDATION_SEED = 20_260_101
"""Decides which train rows are held out. A constant: every training, whatever its own seed, holds out the same."""
VALIDATION_SHARE = 5
"""At most one in so many train rows is held out."""


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """A part of the dataset.

    Attributes:
        images: uint8 [n, 28, 28], 0 = background, 255 = ink.
        labels: uint8 [n], class indices.
        rows: int64 [n], numbers of the rows in images.npy.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, eq=False)
class Dataset:
    """The splits of one stored dataset. Nothing is read before it is asked for.

    Attributes:
        card: ``dataset.json``.
        images: uint8 [rows, 28, 28], memory-mapped, read-only.
        labels: uint8 [rows], class indices.
        train_rows: row numbers of the train split, int64 [n].
        validation_rows: row numbers of the validation split, int64 [n].
        extra: more images to fit, which no row of the file holds; as often as they are fitted in an epoch.
    """

    card: DatasetCard
    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    train_rows: NDArray[np.int64]
    validation_rows: NDArray[np.int64]
    extra: Split | None = None

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        train_rows: int | None = None,
        validation_rows: int = 5_000,
        extra_images: Path | None = None,
        extra_repeats: int = 1,
    ) -> Self:
        """The dataset in ``directory``, as `fetch_dataset` stored it. Digests are `FetchedDataset.verify`'s task.

        Args:
            directory: holds images.npy, labels.npy and dataset.json.
            train_rows: fit only so many of the rows that are not held out; the first of a seeded
                permutation, so a smaller number gives a part of what a greater one gives. None, or
                more than there are: all.
            validation_rows: hold out so many train rows, at most a fifth of them; may be 0.
            extra_images: holds the images.npy and labels.npy of images that join the train split, whatever
                ``train_rows`` is; none of them is held out, so that what is held out stays the same.
            extra_repeats: how often the train split has each of them; fewer where they would outnumber its rows.

        Raises:
            UsageError: a number of rows is negative, or ``train_rows`` is 0.
            IntegrityError: the files are missing, broken, or not of one dataset.
        """
        if train_rows is not None and train_rows < 1:
            raise UsageError(f"train_rows must be at least 1, found {train_rows}")
        if validation_rows < 0:
            raise UsageError(f"validation_rows must be at least 0, found {validation_rows}")
        card = read_card(directory)
        held_out = min(validation_rows, card.rows.train // VALIDATION_SHARE)
        order = stable_permutation(card.rows.train, VALIDATION_SEED)
        fitted = order[held_out:][:train_rows]
        return cls(
            card=card,
            images=_array(directory / IMAGES, (card.rows.total, *card.image_size)),
            labels=_array(directory / LABELS, (card.rows.total,)),
            train_rows=fitted,
            validation_rows=order[:held_out],
            extra=None if extra_images is None else _extra(extra_images, card, extra_repeats, len(fitted)),
        )

    @property
    def name(self) -> str:
        return self.card.name

    @property
    def digest(self) -> str:
        return self.card.digest

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.card.class_names

    @cached_property
    def train(self) -> Split:
        """The rows to fit, in a seeded order, and the extra images behind them; copied into memory on first use."""
        own, extra = self._split(self.train_rows), self.extra
        if extra is None:
            return own
        return Split(
            np.concatenate([own.images, extra.images]),
            np.concatenate([own.labels, extra.labels]),
            np.concatenate([own.rows, extra.rows]),
        )

    @cached_property
    def validation(self) -> Split:
        """The train rows that are held out; copied into memory on first use."""
        return self._split(self.validation_rows)

    @property
    def rows_never_held_out(self) -> Split:
        """The train rows that are in the train split whatever number of validation rows is asked for; copied."""
        order = stable_permutation(self.card.rows.train, VALIDATION_SEED)
        return self._split(order[self.card.rows.train // VALIDATION_SHARE :])

    @cached_property
    def test(self) -> Split:
        """The test rows in the file's order; a view of the memory-mapped images."""
        start = self.card.rows.train
        return Split(self.images[start:], self.labels[start:], np.arange(start, self.card.rows.total))

    def _split(self, rows: NDArray[np.int64]) -> Split:
        return Split(self.images[rows], self.labels[rows], rows)


def _extra(directory: Path, card: DatasetCard, repeats: int, rows: int) -> Split:
    """Extra images, numbered on from the rows of the file; all of them so often, but together at most ``rows``."""
    labels = _array(directory / LABELS, None)
    images = _array(directory / IMAGES, (len(labels), *card.image_size))
    times = max(1, min(repeats, rows // max(1, len(labels))))
    places = np.tile(np.arange(len(labels)), times)
    return Split(images[places], labels[places], card.rows.total + places)


def _array(path: Path, shape: tuple[int, ...] | None) -> NDArray[np.uint8]:
    """The stored array; ``shape`` None is any one-dimensional one."""
    try:
        array: NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise IntegrityError(f"{path} is missing; fetch the dataset again") from error
    except (ValueError, EOFError) as error:
        raise IntegrityError(f"{path} is not a whole .npy file; fetch the dataset again") from error
    if array.dtype != np.uint8 or array.shape != (shape or (array.size,)):
        expected = "[n]" if shape is None else list(shape)
        raise IntegrityError(f"{path} holds {array.dtype} {list(array.shape)}, expected uint8 {expected}")
    return array


def to_model_input(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What Keras models take: float32 [n, 28, 28, 1] in [0, 1], from uint8 [n, 28, 28].

    The ONNX graph does this by itself; this is the only other place.
    """
    return images[..., np.newaxis].astype(np.float32) / np.float32(255)


def to_one_hot(labels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """float32 [n, 10]: 1 at the class index, 0 elsewhere; from uint8 [n]."""
    return np.eye(CLASSES, dtype=np.float32)[labels]


class Batch(NamedTuple):
    """Images to train or test on.

    Attributes:
        images: float32 [n, 28, 28, 1] in [0, 1], 0 = background.
        labels: float32 [n, 10], one-hot.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.float32]


class MnistData:
    """Random batches, as the class of the same name in the TensorFlow.js codelab serves them.

    Each split is walked in a shuffled order of its own, decided by the seed; a batch that reaches
    the end goes on into a new shuffle. So every pass visits each image exactly once.
    Train batches come from ``dataset.train``, never from the validation rows.
    """

    def __init__(self, dataset: Dataset, seed: int = 0) -> None:
        self.dataset = dataset
        self._train_order = _shuffles(len(dataset.train), (seed, 0))
        self._test_order = _shuffles(len(dataset.test), (seed, 1))

    @classmethod
    def open(
        cls, directory: Path, *, seed: int = 0, train_rows: int | None = None, validation_rows: int = 5_000
    ) -> Self:
        """Batches of the dataset in ``directory``; arguments and errors are those of `Dataset.open`."""
        return cls(Dataset.open(directory, train_rows=train_rows, validation_rows=validation_rows), seed)

    def next_train_batch(self, batch_size: int) -> Batch:
        """The next ``batch_size`` train images.

        Raises:
            UsageError: ``batch_size`` is less than 1.
        """
        return _next_batch(self.dataset.train, self._train_order, batch_size)

    def next_test_batch(self, batch_size: int) -> Batch:
        """The next ``batch_size`` test images.

        Raises:
            UsageError: ``batch_size`` is less than 1.
        """
        return _next_batch(self.dataset.test, self._test_order, batch_size)


def _shuffles(n: int, seed: tuple[int, int]) -> Iterator[int]:
    """The numbers 0..n-1 in one shuffled order after the other, without end."""
    passes = 0
    while True:
        yield from stable_permutation(n, (*seed, passes)).tolist()
        passes += 1


def _next_batch(split: Split, order: Iterator[int], batch_size: int) -> Batch:
    if batch_size < 1:
        raise UsageError(f"batch_size must be at least 1, found {batch_size}")
    chosen = np.fromiter(order, np.int64, count=batch_size)
    return Batch(to_model_input(split.images[chosen]), to_one_hot(split.labels[chosen]))
