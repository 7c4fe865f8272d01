"""The benchmark of a GPU, on the CPU: one command, one JSON object, and every part of it measured."""

import io
import json
from contextlib import redirect_stdout

import pytest

from benchmarks import gpu

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def found() -> dict:
    with redirect_stdout(io.StringIO()) as said:
        gpu.main(["--quick", "--target", "0.3"])
    return json.loads(said.getvalue())


def test_our_training_is_measured_beside_bare_keras(found):
    assert found["dataset"] == "digits"
    assert found["training"]["device"] == "cpu"
    for one in (found["training"]["standard"]["ours"], found["training"]["standard"]["keras.Model.fit"]):
        assert one["epochs"] == 2
        assert one["best_accuracy"] >= 0.3
        assert 0 < one["seconds_to_target"] <= one["seconds"]
        assert one["images_per_second"] > 0


def test_every_node_runs_where_it_is_looked_for_and_says_what_the_cpu_says(found):
    nodes = found["model"]["nodes"]
    assert nodes["all_on"] == "CPUExecutionProvider"
    assert nodes["ran"]["CPUExecutionProvider"] > 20
    assert nodes["elsewhere"] == []
    assert found["model"]["largest_difference"] == {"probabilities": 0, "novelty": 0}


def test_the_command_scores_the_same_digits_on_either_device(found):
    assert found["score"]["files"] == 200
    assert found["score"]["other_digits"] == 0
    assert [one["provider"] for one in found["score"]["ran"].values()] == ["CPUExecutionProvider"] * 2
