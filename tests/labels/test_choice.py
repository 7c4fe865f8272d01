"""Which images of an output people are asked about."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_pipeline.labels.choice import choose_images
from mnist_pipeline.scoring.rows import ScoredRow

pytestmark = pytest.mark.quick


def ok(number, confidence):
    return ScoredRow(f"ok{number}".encode(), "ok", number % 10, confidence, "")


def refused(number):
    return ScoredRow(f"refused{number}".encode(), "no_digit", None, None, "blank")


def failed(number):
    return ScoredRow(f"failed{number}".encode(), "error", None, None, "not an image")


ROWS = [*(ok(n, 0.5 + n / 1_000) for n in range(400)), *map(refused, range(100)), *map(failed, range(50))]
rows = st.lists(
    st.one_of(
        st.builds(ok, st.integers(0, 60), st.floats(0, 1)),
        st.builds(refused, st.integers(0, 60)),
        st.builds(failed, st.integers(0, 60)),
    ),
    max_size=80,
)


def test_a_third_is_random_a_third_least_confident_and_a_third_refused():
    chosen = choose_images(ROWS, 90, seed=3)
    assert len(chosen) == len({row.name for row in chosen}) == 90
    assert {row.name for row in (ok(n, 0) for n in range(30))} <= {row.name for row in chosen}
    of_kind = sum(row.status == "no_digit" for row in chosen)
    assert 30 < of_kind < 50  # a third, and about a fifth of the random third
    assert sum(row.status == "ok" and row.confidence > 0.7 for row in chosen) > 5


def test_the_random_third_is_spread_over_all_images():
    numbers = [int(row.name[2:]) for row in choose_images([ok(n, n / 3_000) for n in range(3_000)], 600, seed=1)]
    drawn = [number for number in numbers if number >= 1_000]  # the least confident are the first ones
    assert 100 < len(drawn) < 170
    assert 1_850 < sum(drawn) / len(drawn) < 2_150


def test_it_is_mixed_so_that_the_place_tells_nothing():
    kinds = [row.status for row in choose_images(ROWS, 90)]
    changes = sum(one != other for one, other in pairwise(kinds))
    assert changes > 20


def test_another_seed_chooses_others_and_the_same_one_the_same():
    assert choose_images(ROWS, 90, seed=1) == choose_images(ROWS, 90, seed=1)
    assert set(choose_images(ROWS, 90, seed=1)) != set(choose_images(ROWS, 90, seed=2))


@given(rows, st.integers(1, 100), st.randoms())
def test_as_many_as_there_are_once_each_whatever_the_order_and_never_what_failed(found, count, random):
    unique = {row.name: row for row in found}
    chosen = choose_images(unique.values(), count)
    scored = [row for row in unique.values() if row.status != "error"]
    assert len(chosen) == len({row.name for row in chosen}) == min(count, len(scored))
    assert set(chosen) <= set(scored)
    shuffled = list(unique.values())
    random.shuffle(shuffled)
    assert choose_images(shuffled, count) == chosen
