"""The simulation of the gate's policies: what it measures is what it says, on a few years."""

import json

import pytest

from benchmarks import gate
from mnist_pipeline.publishing.policies import POLICIES

YEARS = 60


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict:
    output = tmp_path_factory.mktemp("gate") / "gate.json"
    gate.main(["--years", str(YEARS), "--seed", "3", "--output", str(output)])
    return json.loads(output.read_text())


def test_every_policy_is_measured_in_every_world(found):
    assert found["years"] == YEARS
    assert set(found["policies"]) == set(POLICIES)
    assert all(set(worlds) == {"no progress", "progress"} for worlds in found["policies"].values())


def test_any_gain_promotes_luck_and_a_significant_one_hardly_ever(found):
    assert 2 < found["policies"]["better"]["no progress"]["promotions_a_year"] < 5
    assert found["policies"]["significant"]["no progress"]["promotions_a_year"] <= 4 / YEARS


def test_slow_progress_gets_through(found):
    weeks = found["policies"]["significant"]["progress"]["weeks_until_through"]
    assert 13 <= weeks["median"] <= 28
    assert weeks["not_in_this_year"] <= 0.05


def test_what_is_stated_is_less_wrong_than_what_was_measured(found):
    better = found["policies"]["better"]["no progress"]
    assert better["measured_minus_true_points"] > 0.1
    assert abs(better["stated_minus_true_points"]) < 0.06
    for world in ("no progress", "progress"):
        assert abs(found["policies"]["significant"][world]["stated_minus_true_points"]) < 0.04
