"""A watched training was watched, and is set beside one that was not."""

import json

import pytest

from benchmarks import watching


def test_trainings_with_and_without_a_watcher_are_set_side_by_side(capsys):
    watching.main(["--dataset", "digits", "--preset", "mnist-dense", "--rounds", "1"])
    found = json.loads(capsys.readouterr().out)
    [one] = found["rounds"]
    assert one["watched"]["lines"] >= 1 + 1 + 3, "the watcher was told of the beginning, of batches and of each epoch"
    for what in ("fit", "cpu"):
        assert found[what]["alone"] == one["alone"][what] > 0
        assert found[what]["watched / alone"] == pytest.approx(one["watched"][what] / one["alone"][what], abs=1e-3)
