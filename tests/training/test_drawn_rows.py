"""Digits by other hands that join the train rows: how many, behind which rows, and for which datasets."""

import dataclasses

import numpy as np
import pytest

from mnist_pipeline.data.dataset import Dataset
from mnist_pipeline.training.network import TrainingData


@pytest.fixture(scope="module")
def data(digits_dataset):
    return Dataset.open(digits_dataset.directory)


def test_they_stand_between_the_train_rows_and_the_validation_rows_which_stay_as_they_are(data):
    plain, more = TrainingData.of(data), TrainingData.of(data, 0.1, seed=3)
    count = round(0.1 * plain.train)
    assert plain.train == len(data.train)
    assert more.train == plain.train + count
    assert more.validation == plain.validation == len(data.validation)
    np.testing.assert_array_equal(more.images[: plain.train], plain.images[: plain.train])
    np.testing.assert_array_equal(more.images[more.train :], plain.images[plain.train :])
    np.testing.assert_array_equal(more.one_hot[more.train :], plain.one_hot[plain.train :])
    drawn = more.one_hot[plain.train : more.train]
    assert drawn.sum() == count
    assert drawn[:, 1].sum() > count / 6  # what is easily misread is drawn more often


def test_the_seed_decides_what_is_drawn(data):
    one, again, other = (TrainingData.of(data, 0.05, seed).images for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_none_are_drawn_where_the_classes_are_no_digits(data):
    names = ("Shirt", *data.class_names[1:])
    other = dataclasses.replace(data, card=data.card.model_copy(update={"class_names": names}))
    assert TrainingData.of(other, 0.5).train == len(data.train)
