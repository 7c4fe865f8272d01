"""What is trained when."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_pipeline.config import TrainConfig
from mnist_pipeline.training.batching import Batching, derived_seed


@given(
    rows=st.integers(1, 300),
    batch_size=st.integers(1, 100),
    epochs=st.integers(1, 5),
    max_batches=st.none() | st.integers(1, 40),
    every=st.none() | st.integers(1, 20),
)
def test_every_row_is_seen_once_an_epoch(rows, batch_size, epochs, max_batches, every):
    config = TrainConfig(batch_size=batch_size, epochs=epochs, max_batches=max_batches, validate_every_batches=every)
    batching = Batching.of(config, rows, seed=5)
    batches = 0
    for epoch in range(1, batching.epochs + 1):
        assert batching.batches_before(epoch) == batches
        segments = batching.segments(epoch)
        order = np.concatenate(segments)
        assert len(np.unique(order)) == len(order)
        if epoch < batching.epochs:
            assert len(order) == rows
        in_segments = [-(-len(segment) // batch_size) for segment in segments]
        assert all(count == every for count in in_segments[:-1])
        batches += sum(in_segments)
    assert batches == batching.batches <= (max_batches or batches)
    assert batching.epochs <= epochs


def test_few_rows_are_passed_over_more_often():
    config = TrainConfig(batch_size=10, epochs=2, min_batches=25)
    assert (Batching.of(config, 100, seed=0).epochs, Batching.of(config, 100, seed=0).batches) == (3, 30)
    assert Batching.of(config, 200, seed=0).epochs == 2


def test_the_order_is_a_function_of_seed_and_epoch():
    batching = Batching.of(TrainConfig(epochs=2), population=1_000, seed=5)
    assert (batching.order(1) == Batching.of(TrainConfig(epochs=2), population=1_000, seed=5).order(1)).all()
    assert (batching.order(1) != batching.order(2)).any()
    assert (batching.order(1) != Batching.of(TrainConfig(epochs=2), population=1_000, seed=6).order(1)).any()


def test_the_tutorial_of_2018_trains_100_batches_and_validates_20_times():
    from mnist_pipeline.config import PRESETS

    batching = Batching.of(PRESETS["sgd-2018"], population=54_000, seed=0)
    assert (batching.batches, batching.epochs, len(batching.segments(1))) == (100, 1, 20)
    assert [len(segment) for segment in batching.segments(1)] == [5 * 64] * 20


def test_derived_seeds_are_fixed_and_apart():
    assert derived_seed(0, 1) == derived_seed(0, 1)
    assert len({derived_seed(seed, use) for seed in range(50) for use in range(50)}) == 2_500
    assert all(0 <= derived_seed(seed, 1) < 2**31 for seed in (0, 2**31 - 1))


@pytest.mark.parametrize(("batch_size", "expected"), [(512, 11), (5_500, 1), (6_000, 1)])
def test_the_last_batch_may_be_smaller(batch_size, expected):
    assert Batching.of(TrainConfig(batch_size=batch_size, epochs=1), population=5_500, seed=0).batches == expected
