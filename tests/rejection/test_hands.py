"""Digits by other hands: their form, what is drawn onto which, the same for the same numbers."""

import numpy as np
import pytest

from mnist_pipeline.imaging.drawing import INK, enlarge
from mnist_pipeline.rejection.hands import embellished, other_hands, written


@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_other_hands_write_every_digit_in_mnists_form(digits, share):
    images, labels = other_hands(digits.images, digits.labels, 200, np.random.default_rng(1), share)
    assert images.shape == (200, 28, 28)
    assert images.dtype == labels.dtype == np.uint8
    assert set(labels.tolist()) == set(range(10))
    columns, rows = images.any(axis=1), images.any(axis=2)
    longest = np.maximum(columns.sum(axis=1), rows.sum(axis=1))
    assert (longest <= 20).all()
    assert np.median(longest) >= 19


def test_the_same_numbers_write_the_same(digits):
    one, again, other = (
        other_hands(digits.images, digits.labels, 30, np.random.default_rng(seed), 0.5) for seed in (3, 3, 4)
    )
    assert np.array_equal(one[0], again[0])
    assert np.array_equal(one[1], again[1])
    assert not np.array_equal(one[0], other[0])


def test_ones_get_flags_and_feet_sevens_a_bar_and_others_nothing(digits):
    images, labels = digits.images, digits.labels
    random = np.random.default_rng(0)
    for label in range(10):
        canvas = enlarge(images[labels == label][0])
        drawn = [embellished(canvas, label, random) for _ in range(40)]
        changed = sum(not np.array_equal(one, canvas) for one in drawn)
        assert all((one >= canvas).all() for one in drawn)  # ink is added, none is taken away
        if label in {1, 7}:
            assert 5 < changed < 35
            assert max((one > INK).any(axis=0).sum() for one in drawn) > (canvas > INK).any(axis=0).sum()
        else:
            assert changed == 0


def test_half_of_what_is_written_are_kinds_that_are_easily_misread():
    random = np.random.default_rng(5)
    counts = np.bincount([written(random)[1] for _ in range(600)], minlength=10)
    assert counts.sum() == 600
    assert counts[1] > 2 * counts[[0, 3, 5, 6, 8]].max()
    assert counts.min() > 10
