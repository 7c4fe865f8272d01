"""Splits and batches of a stored dataset."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist_pipeline.data.dataset import Dataset, MnistData, to_model_input, to_one_hot
from mnist_pipeline.data.order import stable_permutation
from mnist_pipeline.errors import IntegrityError, UsageError
from mnist_pipeline.runs.artifacts import FetchedDataset


@pytest.fixture(scope="module")
def digits(digits_dataset: FetchedDataset) -> Dataset:
    return Dataset.open(digits_dataset.directory)


def test_splits_are_disjoint_and_together_all_rows(digits: Dataset):
    train, validation, test = digits.train, digits.validation, digits.test
    assert (len(train), len(validation), len(test)) == (1_437 - 287, 287, 360)
    assert sorted([*train.rows, *validation.rows, *test.rows]) == list(range(1_797))
    assert test.rows.tolist() == list(range(1_437, 1_797))
    for split in (train, validation, test):
        assert split.images.dtype == np.uint8
        assert split.images.shape == (len(split), 28, 28)
        assert np.array_equal(split.images, digits.images[split.rows])
        assert np.array_equal(split.labels, digits.labels[split.rows])


def test_handle_and_dataset_say_the_same(digits: Dataset, digits_dataset: FetchedDataset):
    assert (digits.name, digits.digest) == ("digits", digits_dataset.digest)
    assert digits.class_names[3] == "Three"
    assert digits_dataset.directory.name == f"digits-{digits.digest[:12]}"
    assert (digits_dataset.train_rows, digits_dataset.test_rows) == (1_437, 360)


def test_validation_is_the_same_however_many_rows_are_trained_on(digits: Dataset, digits_dataset: FetchedDataset):
    few = Dataset.open(digits_dataset.directory, train_rows=100)
    assert np.array_equal(few.validation.rows, digits.validation.rows)
    assert np.array_equal(few.train.rows, digits.train.rows[:100])
    # Pinned: a comparison of two trainings years apart needs the same held-out rows.
    assert digits.validation.rows[:5].tolist() == [1143, 1108, 937, 38, 525]


@pytest.mark.parametrize(("asked", "held_out"), [(0, 0), (1, 1), (287, 287), (288, 287), (10**9, 287)])
def test_validation_is_capped_at_a_fifth(digits_dataset: FetchedDataset, asked: int, held_out: int):
    dataset = Dataset.open(digits_dataset.directory, validation_rows=asked)
    assert len(dataset.validation) == held_out
    assert len(dataset.train) == 1_437 - held_out


def test_more_train_rows_than_there_are_means_all(digits_dataset: FetchedDataset):
    assert len(Dataset.open(digits_dataset.directory, train_rows=5_500).train) == 1_150


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"train_rows": 0}, "train_rows must be at least 1, found 0"),
        ({"validation_rows": -1}, "validation_rows must be at least 0, found -1"),
    ],
)
def test_senseless_numbers_are_refused(digits_dataset: FetchedDataset, arguments: dict[str, int], message: str):
    with pytest.raises(UsageError, match=message):
        Dataset.open(digits_dataset.directory, **arguments)


def test_datasets_are_frozen_and_their_files_read_only(digits: Dataset):
    with pytest.raises(dataclasses.FrozenInstanceError):
        digits.images = digits.images[:1]
    with pytest.raises(ValueError, match="read-only"):
        digits.test.images[0] = 0


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: (d / "dataset.json").unlink(), r"dataset\.json is missing; fetch the dataset again"),
        (lambda d: (d / "images.npy").unlink(), r"images\.npy is missing; fetch the dataset again"),
        (lambda d: (d / "dataset.json").write_text("{}"), r"dataset\.json is not a dataset card: name: "),
        (lambda d: (d / "labels.npy").write_bytes(b""), r"labels\.npy is not a whole \.npy file"),
        (lambda d: np.save(d / "labels.npy", np.zeros(5, np.uint8)), r"holds uint8 \[5\], expected uint8 \[1797\]"),
        (lambda d: np.save(d / "labels.npy", np.zeros(1797)), r"holds float64 \[1797\], expected uint8"),
        (lambda d: np.save(d / "labels.npy", np.array([{}])), r"labels\.npy is not a whole \.npy file"),
    ],
)
def test_broken_folders_are_refused(digits_dataset: FetchedDataset, tmp_path: Path, damage, message: str):
    folder = shutil.copytree(digits_dataset.directory, tmp_path / "copy")
    damage(folder)
    with pytest.raises(IntegrityError, match=message):
        Dataset.open(folder)


def test_model_input_is_what_the_graph_computes():
    every_value = np.arange(784, dtype=np.uint32).reshape(1, 28, 28).astype(np.uint8)
    scaled = to_model_input(every_value)
    assert (scaled.dtype, scaled.shape) == (np.float32, (1, 28, 28, 1))
    assert np.array_equal(scaled[..., 0], every_value.astype(np.float32) / np.float32(255))
    assert (scaled.min(), scaled.max()) == (0, 1)
    assert to_one_hot(np.array([2, 9], np.uint8)).tolist() == [[0, 0, 1, *[0] * 7], [*[0] * 9, 1]]


@given(sizes=st.lists(st.integers(1, 700), min_size=1, max_size=8), seed=st.integers(0, 2**31 - 1))
@settings(max_examples=25, deadline=None)
def test_every_pass_visits_each_test_image_once_whatever_the_batches(digits: Dataset, sizes: list[int], seed: int):
    """Batches, laid end to end, are whole passes: each a permutation of the split, the last one a part of one."""
    data = MnistData(digits, seed)
    batches = [data.next_test_batch(size) for size in sizes]
    for size, batch in zip(sizes, batches, strict=True):
        assert (batch.images.dtype, batch.images.shape) == (np.float32, (size, 28, 28, 1))
        assert (batch.labels.dtype, batch.labels.shape) == (np.float32, (size, 10))
        assert np.array_equal(np.sort(batch.labels, axis=1), np.tile([0] * 9 + [1], (size, 1)))
    images = np.concatenate([batch.images for batch in batches])
    labels = np.concatenate([batch.labels for batch in batches]).argmax(axis=1)
    row_of = {image.tobytes(): row for row, image in enumerate(to_model_input(digits.test.images))}
    assert len(row_of) == 360  # no two test images are equal, so each tells its row
    rows = np.array([row_of[image.tobytes()] for image in images])
    assert np.array_equal(labels, digits.test.labels[rows])
    for start in range(0, len(rows), 360):
        one_pass = rows[start : start + 360]
        assert len(set(one_pass.tolist())) == len(one_pass)


@given(seed=st.integers(0, 2**31 - 1))
@settings(max_examples=10, deadline=None)
def test_batches_depend_on_the_seed_alone(digits: Dataset, seed: int):
    first, second, other = MnistData(digits, seed), MnistData(digits, seed), MnistData(digits, seed + 1)
    ours = [first.next_train_batch(50), first.next_train_batch(50)]
    first_test = first.next_test_batch(50)
    assert np.array_equal(first_test.images, second.next_test_batch(50).images)  # the walks do not disturb each other
    assert np.array_equal(ours[0].images, second.next_train_batch(50).images)
    assert np.array_equal(ours[1].labels, second.next_train_batch(50).labels)
    assert not np.array_equal(ours[0].images, other.next_train_batch(50).images)


def test_each_pass_has_a_new_order_and_never_meets_validation_rows(digits_dataset: FetchedDataset):
    data = MnistData.open(digits_dataset.directory, seed=4, train_rows=300)
    first, second = data.next_train_batch(300), data.next_train_batch(300)
    expected = {image.tobytes() for image in to_model_input(data.dataset.train.images)}
    assert {image.tobytes() for image in first.images} == expected
    assert {image.tobytes() for image in second.images} == expected
    assert not np.array_equal(first.images, second.images)
    assert expected.isdisjoint({image.tobytes() for image in to_model_input(data.dataset.validation.images)})


@pytest.mark.parametrize("size", [0, -3])
def test_empty_batches_are_refused(digits: Dataset, size: int):
    data = MnistData(digits)
    with pytest.raises(UsageError, match=f"batch_size must be at least 1, found {size}"):
        data.next_train_batch(size)
    with pytest.raises(UsageError, match="batch_size must be at least 1"):
        data.next_test_batch(size)


@given(st.integers(0, 500), st.integers(0, 2**63))
def test_permutations_hold_each_number_once(n: int, seed: int):
    assert sorted(stable_permutation(n, seed).tolist()) == list(range(n))


def test_permutations_are_pinned():
    assert stable_permutation(10, 0).tolist() == [3, 2, 1, 8, 6, 0, 7, 4, 5, 9]
