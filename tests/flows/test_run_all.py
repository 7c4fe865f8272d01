"""The whole pipeline as a user runs it: the command, a Prefect server, real training, real files."""

import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from mnist_pipeline.data.dataset import Dataset, to_model_input
from tests.flows.conftest import SMALL, STEPS, kill, wait_for_checkpoint


@pytest.fixture
def workspace(finished, tmp_path) -> Path:
    """A copy of the finished workspace, which a test may change."""
    return shutil.copytree(finished[0], tmp_path / "workspace")


def test_the_summary_names_what_was_made(finished):
    workspace, summary = finished
    assert summary["status"] == "promoted"
    assert summary["promoted"] is True
    assert summary["reused"] == []
    assert list(summary["seconds"]) == STEPS
    version = workspace / "models" / "digits" / summary["version"]
    assert summary["onnx"] == str(version / "model.onnx")
    assert summary["report"] == str(version / "report.html")
    assert json.loads((version.parent / "aliases.json").read_text()) == {"champion": summary["version"]}
    published = {path.name for path in version.iterdir()}
    assert published >= {"model.onnx", "manifest.json", "evaluation.json", "report.html", "MODEL_CARD.md"}


def test_the_run_directory_is_whole(finished):
    workspace, summary = finished
    run = workspace / "runs" / summary["run_id"]
    names = {path.name for path in run.iterdir()}
    assert names >= {"config.json", "model.keras", "history.json", "model.onnx", "parity.json", "run.json"}
    assert names >= {"evaluation.json", "evaluation.csv", "gate.json", "report.html", "report.md"}
    assert not [name for name in names if name.endswith(".tmp")]
    evaluation = json.loads((run / "evaluation.json").read_text())
    assert evaluation["accuracy"] == summary["accuracy"] == evaluation["correct"] / 360
    assert [row["name"] for row in evaluation["per_class"]][:3] == ["Zero", "One", "Two"]
    matrix = np.array(evaluation["confusion_matrix"])
    assert (matrix.sum(), np.trace(matrix)) == (360, evaluation["correct"])


def test_keras_and_onnx_have_the_same_accuracy(finished):
    import keras

    workspace, summary = finished
    run = workspace / "runs" / summary["run_id"]
    test = Dataset.open(next((workspace / "datasets").glob("digits-*"))).test
    predicted = keras.models.load_model(run / "model.keras").predict(to_model_input(test.images), verbose=0)
    assert float((predicted.argmax(axis=1) == test.labels).mean()) == summary["accuracy"]


def test_the_same_command_again_reuses_every_step(prefect, finished, workspace):
    again = prefect.run("run-all", *SMALL, "--workspace", str(workspace))
    assert again["reused"] == STEPS
    assert (again["status"], again["promoted"]) == ("unchanged", False)
    assert again["version"] == again["champion"] == finished[1]["version"]
    assert again["run_id"] != finished[1]["run_id"]
    assert (workspace / "runs" / again["run_id"] / "report.html").is_file()
    assert len((workspace / "models" / "digits" / "history.jsonl").read_text().splitlines()) == 2


def test_only_what_depends_on_a_change_is_done_again(prefect, workspace):
    again = prefect.run("run-all", *SMALL, "--workspace", str(workspace), "--set", "evaluation.batch_size=100")
    assert again["reused"] == ["fetch", "train", "novelty", "export"]


def test_a_damaged_file_is_made_again_and_a_published_version_stays(prefect, finished, workspace):
    model = workspace / "runs" / finished[1]["run_id"] / "model.onnx"
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(data)
    again = prefect.run("run-all", *SMALL, "--workspace", str(workspace), code=3)
    assert again["reused"] == ["fetch", "train", "novelty"]
    # The new export carries the new run's name, so it is a version of its own, and as good as the champion.
    assert "tie" in again["reasons"][0]
    champion = prefect.run("models", "show", "--workspace", str(workspace))
    assert champion["version"] == finished[1]["version"]


def test_a_refused_candidate_is_a_version_without_the_alias(prefect, finished, workspace):
    strict = ["--set", "publishing.gate.min_accuracy=1", "--set", "publishing.model=strict"]
    refused = prefect.run("run-all", *SMALL, "--workspace", str(workspace), *strict, code=3)
    assert (refused["status"], refused["promoted"], refused["reused"]) == ("refused", False, STEPS[:-1])
    assert len(refused["reasons"]) == 1
    shown = prefect.run("runs", "show", "--workspace", str(workspace))
    assert (shown["status"], shown["reason"]) == ("refused", refused["reasons"][0])
    assert "below the floor of 100.00 %" in refused["reasons"][0]
    assert Path(refused["onnx"]).is_file()
    versions = prefect.run("models", "list", "--name", "strict", "--workspace", str(workspace))
    assert [row["aliases"] for row in versions["versions"]] == [[]]


def test_single_steps_are_the_same_code(prefect, finished, place):
    here = ["--workspace", str(place)]
    trained = prefect.run("train", *SMALL, *here)
    for step in ("export", "evaluate"):
        assert prefect.run(step, *here)["run_id"] == trained["run_id"]
    published = prefect.run("publish", *here)
    assert published["status"] == "promoted"
    assert published["accuracy"] == finished[1]["accuracy"]


def test_a_killed_run_goes_on_where_it_stopped(prefect, finished, place):
    arguments = ["run-all", *SMALL, "--workspace", str(place)]
    process = prefect.start(*arguments)
    wait_for_checkpoint(process, place)
    running = prefect.run("runs", "list", "--workspace", str(place))
    kill(process)
    killed = prefect.run("runs", "list", "--workspace", str(place))
    assert [found["runs"][0]["status"] for found in (running, killed)] == ["running", "interrupted"]
    again = prefect.run(*arguments)
    assert again["status"] == "promoted"
    assert "fetch" in again["reused"]
    assert again["accuracy"] == finished[1]["accuracy"]
    assert not list(place.glob("runs/.checkpoints/*/*"))


def test_ctrl_c_ends_within_seconds_and_the_next_run_goes_on(prefect, finished, place):
    arguments = ["run-all", *SMALL, "--workspace", str(place)]
    process = prefect.start(*arguments)
    wait_for_checkpoint(process, place)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert "error: interrupted; the same command goes on where this one stopped" in errors
    record = json.loads(max(place.glob("runs/2*/run.json")).read_text())
    assert record["status"] == "failed"
    assert not list(place.rglob("*.tmp"))
    assert prefect.run(*arguments)["accuracy"] == finished[1]["accuracy"]


def test_a_report_that_is_drawn_again_does_not_undo_the_run(prefect, finished, workspace):
    page = workspace / "runs" / finished[1]["run_id"] / "report.html"
    page.write_text("spoilt")
    for _ in range(2):
        assert prefect.run("report", "--workspace", str(workspace)) == {"report": str(page)}
    assert finished[1]["version"] in page.read_text()
    assert prefect.run("run-all", *SMALL, "--workspace", str(workspace))["reused"] == STEPS


def test_prefect_shows_reused_steps_and_the_artifacts(prefect, finished, workspace):
    prefect.run("run-all", *SMALL, "--workspace", str(workspace))
    flow_run = prefect.post("/flow_runs/filter", {"sort": "START_TIME_DESC", "limit": 1})[0]
    assert flow_run["state"]["type"] == "COMPLETED"
    mine = {"flow_runs": {"id": {"any_": [flow_run["id"]]}}}
    tasks = prefect.post("/task_runs/filter", mine)
    assert {task["name"].split("-")[0]: task["state"]["name"] for task in tasks} == dict.fromkeys(STEPS, "Reused")
    artifacts = {found["key"]: found for found in prefect.post("/artifacts/filter", mine)}
    pictures = {"confusion-matrix", "learning-curves", "test-digits"}
    assert set(artifacts) >= pictures | {"report", "per-class-accuracy", "published-model", "learning-curve"}
    assert all(artifacts[name]["data"].startswith("data:image/png;base64,") for name in pictures)
    rows = json.loads(artifacts["per-class-accuracy"]["data"])
    evaluation = json.loads((workspace / "runs" / finished[1]["run_id"] / "evaluation.json").read_text())
    assert rows == evaluation["per_class"]
