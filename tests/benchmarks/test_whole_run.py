"""Where the seconds of a whole run go: every step, and every part that is named, was really there."""

import json

import pytest

from benchmarks import whole_run
from mnist_pipeline.training import novelty

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def test_every_step_is_told_with_its_parts(monkeypatch, capsys):
    monkeypatch.setattr(novelty, "MOST_ROWS", 100)
    monkeypatch.setattr(novelty, "EPOCHS", 1)
    whole_run.main(["--preset", "mnist-dense", "--dataset", "digits"])
    found = json.loads(capsys.readouterr().out)
    assert list(found["seconds"]) == ["fetch", "train", "novelty", "export", "evaluate", "publish"]
    for step, seconds in found["seconds"].items():
        parts = [seconds[part] for part in whole_run.PARTS[step]]
        assert sum(parts) + seconds["rest"] == pytest.approx(seconds["all"], abs=0.05)
        assert seconds["rest"] >= 0  # no part is counted within another one
    called = {part for seconds in found["seconds"].values() for part, taken in seconds.items() if taken > 0}
    # Too short to be seen: what a preset without drawn digits draws, and Keras, which other tests have imported.
    unseen = {"training.network.other_hands", "training.devices.load_keras", "training.novelty._compiled"}
    assert {part for parts in whole_run.PARTS.values() for part in parts} - called <= unseen
    fitting = found["seconds"]["train"]["training.loop.Network.fit"] + found["seconds"]["novelty"]["rest"]
    assert found["not training"] == pytest.approx(found["all"] - fitting, abs=0.05)
