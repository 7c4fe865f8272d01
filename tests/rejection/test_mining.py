"""Readings of scenes are what they are called."""

import numpy as np

from mnist_pipeline.rejection.classes import NONE
from mnist_pipeline.rejection.mining import mine
from mnist_pipeline.rejection.scenes import KINDS


def test_right_readings_look_like_their_class_and_wrong_ones_are_there(digits):
    images, labels = digits.images, digits.labels
    found = mine(images, labels, 10 * len(KINDS), np.random.default_rng(0))
    assert found.images.shape[1:] == (28, 28)
    assert len(found.images) == len(found.classes) > 20 * len(KINDS)
    assert 0.3 < np.mean(found.classes == NONE) < 0.7
    means = np.stack([images[labels == digit].mean(axis=0).ravel() for digit in range(10)])
    means = (means - means.mean(axis=1, keepdims=True)) / means.std(axis=1, keepdims=True)
    shown = found.images[found.classes != NONE].reshape(-1, 784).astype(float)
    nearest = (shown @ means.T).argmax(axis=1)
    assert np.mean(nearest == found.classes[found.classes != NONE]) > 0.6


def test_the_same_random_numbers_mine_the_same(digits):
    images, labels = digits.images, digits.labels
    one, other = (mine(images, labels, 24, np.random.default_rng(3)) for _ in range(2))
    assert (one.images == other.images).all()
    assert (one.classes == other.classes).all()
