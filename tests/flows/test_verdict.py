"""One workspace over some weeks: whatever is run again, command, Prefect and notification say who is champion today."""

import os
import time
from dataclasses import replace

import pytest

from tests.flows.conftest import SMALL
from tests.support.sink import Sink

GATE = ("publishing.gate.min_accuracy=0.3", "publishing.gate.min_class_accuracy=0")
CONFIG = [*SMALL[:4], "--device", "cpu", *(word for rule in GATE for word in ("--set", rule))]
WORSE = [*CONFIG, "--set", "training.epochs=3", "--set", "training.batch_size=32"]
BETTER = [*CONFIG, "--set", "training.epochs=12", "--set", "training.batch_size=32"]


@pytest.fixture
def sink():
    service = Sink()
    yield service
    service.close()


def test_what_is_said_of_a_run_is_true_whatever_happened_before(prefect, sink, evaluated):
    told = replace(prefect, environment=prefect.environment | {"MNIST_PIPELINE_NOTIFY_URL": sink.url})
    abandoned = evaluated / "runs" / ".checkpoints" / "abandoned"
    abandoned.mkdir(parents=True)
    os.utime(abandoned, (time.time() - 40 * 86_400,) * 2)
    place = ["--workspace", str(evaluated)]

    def state() -> str:
        """What Prefect shows of the latest run."""
        found = prefect.post("/flow_runs/filter", {"sort": "START_TIME_DESC", "limit": 1})[0]["state"]
        return found["type"] + " " + found["message"]

    first = told.run("run-all", *WORSE, *place)
    second = told.run("run-all", *BETTER, *place)  # what was evaluated already
    assert [s["status"] for s in (first, second)] == ["promoted", "promoted"]
    assert first["accuracy"] < second["accuracy"]
    assert not abandoned.exists()
    for promoted in (first, second):
        assert promoted["version"] in sink.wait_for("run-all promoted")["message"]

    # Another preset has won: neither the same command nor the schedule may claim the champion's place.
    for flow in ("retrain", "run-all"):
        again = told.run(flow, *WORSE, *place, code=3)
        assert (again["status"], again["promoted"], again["version"]) == ("refused", False, first["version"])
        assert again["champion"] == second["version"]
        assert again["reused"] == ["fetch", "train", "novelty", "export", "evaluate"]
        sentence = f"refused: digits {first['version']}, accuracy {100 * first['accuracy']:.2f} %; Against champion "
        assert f"{sentence}{second['version']}" in state()
        assert state().startswith(f"COMPLETED {sentence}")
        message = sink.wait_for(f"{flow} refused")["message"]
        assert f"the champion is {second['version']}" in message
        assert "promoted" not in message

    # The schedule says it once, until something changes.
    again = told.run("retrain", *WORSE, *place)
    assert (again["status"], again["version"], list(again["seconds"])) == ("unchanged", first["version"], ["fetch"])

    # A person takes the champion back, and that stands.
    prefect.run("models", "rollback", "--reason", "false alarms", *place)
    again = told.run("retrain", *BETTER, *place, code=3)
    assert (again["status"], again["promoted"], again["champion"]) == ("refused", False, first["version"])
    assert "(false alarms), and no run undoes that" in again["reasons"][0]
    assert "(false alarms), and no run undoes that" in sink.wait_for("retrain refused")["message"]

    # The champion's own configuration changes nothing, and nobody is told.
    again = told.run("run-all", *WORSE, *place)
    assert (again["status"], again["promoted"], again["version"]) == ("unchanged", False, first["version"])
    assert again["reused"] == ["fetch", "train", "novelty", "export", "evaluate", "publish"]
    assert state().startswith(f"COMPLETED unchanged: digits {first['version']}, ")
    assert sink.told == []
    listed = [row["status"] for row in prefect.run("runs", "list", *place)["runs"]]
    assert listed[:7] == ["unchanged", "refused", "unchanged", "refused", "refused", "promoted", "promoted"]
    moves = [(row["action"], row["to"]) for row in prefect.run("models", "history", *place)["changes"] if row["alias"]]
    assert moves == [("promote", first["version"]), ("promote", second["version"]), ("rollback", first["version"])]
