"""Counts over rows, against plain and slow definitions of them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mnist_pipeline.data.checks import PAIRS_SHOWN, check_rows


def dataset(kinds: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Images that are equal where their kinds are."""
    images = np.random.default_rng(0).integers(0, 256, (20, 28, 28), dtype=np.uint8)[kinds]
    return images, (np.array(kinds) % 10).astype(np.uint8)


@given(st.lists(st.integers(0, 19), min_size=2, max_size=40), st.data())
def test_duplicates_are_counted_and_paired_as_by_looking_at_every_row(kinds: list[int], data):
    train_rows = data.draw(st.integers(1, len(kinds) - 1))
    images, labels = dataset(kinds)
    checks = check_rows(images, labels, train_rows)
    rows = range(len(kinds))
    train, test = rows[:train_rows], rows[train_rows:]

    def repeats(part: range) -> list[tuple[int, int]]:
        firsts = [(next(i for i in part if kinds[i] == kinds[row]), row) for row in part]
        return [(first, row) for first, row in firsts if first != row]

    across = [(kinds.index(kinds[row]), row) for row in test if kinds[row] in kinds[:train_rows]]
    for found, expected in (
        (checks.duplicates_within_train, repeats(train)),
        (checks.duplicates_within_test, repeats(test)),
        (checks.duplicates_across, across),
    ):
        assert found.count == len(expected)
        assert found.pairs == expected[:PAIRS_SHOWN]


def test_counts_and_moments():
    images, labels = dataset([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0])
    checks = check_rows(images, labels, 12)
    assert checks.counts.train == [2, 2, 1, 1, 1, 1, 1, 1, 1, 1]
    assert checks.counts.test == [1, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    pixels = images[:12].astype(np.float64) / 255
    assert abs(checks.pixel_mean - pixels.mean()) < 1e-12
    assert abs(checks.pixel_sd - pixels.std()) < 1e-12
    assert checks.duplicates_across.pairs == [(0, 12)]


def test_an_even_dataset_has_no_spread():
    images = np.full((4, 28, 28), 51, np.uint8)
    checks = check_rows(images, np.zeros(4, np.uint8), 2)
    assert (checks.pixel_mean, checks.pixel_sd) == (0.2, 0.0)
    assert checks.duplicates_within_train.count == 1
    assert checks.duplicates_across.pairs == [(0, 2), (0, 3)]
