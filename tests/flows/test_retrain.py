"""Retraining: it works where something changed, says so where nothing did, and never runs beside another."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnist_pipeline.data.dataset import Dataset
from mnist_pipeline.runs.training_lock import only_training
from mnist_pipeline.workspace import Workspace
from tests.flows.conftest import SMALL
from tests.support.sink import Sink

CONFIG = [*SMALL[:4], "--set", "training.epochs=12", "--set", "training.batch_size=32", "--device", "cpu"]


@pytest.fixture
def workspace(finished, tmp_path) -> Path:
    return Path(shutil.copytree(finished[0], tmp_path / "workspace"))


@pytest.fixture
def extra(workspace, tmp_path) -> Path:
    """Ten train images, each with one pixel of its ink changed."""
    train = Dataset.open(next((workspace / "datasets").glob("digits-*"))).train
    for label in range(10):
        image = train.images[train.labels == label][0].copy()
        row, column = np.argwhere((image > 0) & (image < 250))[0]
        image[row, column] += 1
        (tmp_path / "extra" / str(label)).mkdir(parents=True)
        Image.fromarray(image).save(tmp_path / "extra" / str(label) / "one.png")
    return tmp_path / "extra"


def test_nothing_changed_is_said_and_nothing_is_done(prefect, finished, workspace):
    found = prefect.run("retrain", *CONFIG, "--workspace", str(workspace))
    assert (found["status"], found["version"]) == ("unchanged", finished[1]["version"])
    assert (found["promoted"], found["champion"]) == (False, finished[1]["version"])
    assert list(found["seconds"]) == ["fetch"]
    assert found["accuracy"] == finished[1]["accuracy"]
    history = (workspace / "models" / "digits" / "history.jsonl").read_text().splitlines()
    assert len(history) == 2


def test_extra_images_are_trained_on_and_stand_in_the_lineage(prefect, finished, workspace, extra):
    ties = ["--set", "publishing.gate.promote_ties=true", "--set", "publishing.gate.champion_margin=0.5"]
    arguments = ["retrain", *CONFIG, *ties, "--extra-images", str(extra), "--workspace", str(workspace)]
    found = prefect.run(*arguments)
    assert found["status"] == "promoted"
    assert list(found["seconds"]) == ["fetch", "collect", "train", "novelty", "export", "evaluate", "publish"]
    version = workspace / "models" / "digits" / found["version"]
    lineage = json.loads((version / "manifest.json").read_text())["lineage"]
    labels = prefect.run("labels", "list", "--workspace", str(workspace))
    assert labels["train"] + labels["own_test"] == 10
    assert lineage["extra_images"] == labels["train"]
    own_test = json.loads((version / "evaluation.json").read_text())["own_test"]
    assert own_test["samples"] == labels["own_test"]
    assert lineage["parent"] == finished[1]["version"]
    assert f"{labels['train']} more images were fitted" in (version / "MODEL_CARD.md").read_text()
    history = json.loads((workspace / "runs" / found["run_id"] / "history.json").read_text())
    before = json.loads((workspace / "runs" / finished[1]["run_id"] / "history.json").read_text())
    assert history["train_rows"] == before["train_rows"] + history["config"]["own_repeats"] * labels["train"]
    assert history["validation_rows"] == before["validation_rows"]
    assert prefect.run(*arguments)["status"] == "unchanged"
    for quarters in (1, 2, 3):
        for label in range(10):
            turned = np.rot90(np.asarray(Image.open(extra / str(label) / "one.png")), quarters)
            Image.fromarray(turned).save(extra / str(label) / f"{quarters}.png")
    changed = prefect.run("train", *arguments[1 : 1 + len(CONFIG)], *arguments[-4:])
    assert changed["extra_images"] > labels["train"]


def test_a_running_training_is_named_and_left_alone(prefect, workspace):
    with only_training(Workspace(workspace)):
        for command in ("run-all", "retrain", "train"):
            refused = prefect.run(command, *CONFIG, "--workspace", str(workspace), code=1)
            assert "another training runs in" in refused["error"]
    assert prefect.run("retrain", *CONFIG, "--workspace", str(workspace))["status"] == "unchanged"


def test_a_server_that_does_not_answer_is_one_clear_line(prefect, tmp_path):
    gone = replace(prefect, environment=prefect.environment | {"PREFECT_API_URL": "http://127.0.0.1:1/api"})
    for command in ("run-all", "deploy"):
        failed = gone.run(command, "--dataset", "digits", "--workspace", str(tmp_path), code=1)
        assert "the Prefect server at http://127.0.0.1:1/api does not answer" in failed["error"]
    unset = replace(prefect, environment={k: v for k, v in prefect.environment.items() if k != "PREFECT_API_URL"})
    failed = unset.run("deploy", "--workspace", str(tmp_path), code=2)
    assert "no Prefect server is named" in failed["error"]


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--cron", "every monday"], 2, "--cron 'every monday'"),
        (["--cron", "0 0 4 * * 1"], 2, "a schedule has five fields, not 6"),
        (["--cron", "0 4 31 2 *"], 2, "never fires"),
        (["--timezone", "Mars/Olympus"], 2, "'Mars/Olympus'"),
        (["--timezone", "Europe/Berln"], 2, "did you mean Europe/Berlin?"),
        (["--pool", "a/b"], 2, "--pool 'a/b'"),
        (["--pool", "prefect-mine"], 1, "answers 403 Forbidden (Work"),
        (["--set", "training.epochs=0"], 2, "training.epochs"),
    ],
)
def test_deploy_refuses_nonsense_before_it_registers_anything(prefect, tmp_path, options, code, message):
    failed = prefect.run("deploy", *options, "--workspace", str(tmp_path), code=code)
    assert message in failed["error"]
    assert prefect.post("/deployments/filter", {}) == []
    assert prefect.post("/work_pools/filter", {}) == []


def test_a_notification_address_that_nobody_knows_is_refused(prefect, tmp_path):
    told = replace(prefect, environment=prefect.environment | {"MNIST_PIPELINE_NOTIFY_URL": "nonsense"})
    failed = told.run("deploy", "--workspace", str(tmp_path), code=2)
    assert "MNIST_PIPELINE_NOTIFY_URL is no URL that Apprise knows" in failed["error"]


def test_a_command_tells_as_a_deployment_does(prefect, workspace):
    sink = Sink()
    told = replace(prefect, environment=prefect.environment | {"MNIST_PIPELINE_NOTIFY_URL": sink.url})
    arguments = ["run-all", *SMALL, "--workspace", str(workspace), "--set", "publishing.gate.min_accuracy=1"]
    refused = told.run(*arguments, "--set", "publishing.model=strict", code=3)
    message = sink.wait_for("run-all refused")["message"]
    sink.close()
    assert refused["reasons"][0] in message
    assert refused["report"] in message


def test_a_notification_that_cannot_be_sent_changes_nothing(prefect, finished, workspace):
    environment = prefect.environment | {"MNIST_PIPELINE_NOTIFY_URL": "json://127.0.0.1:1/"}
    arguments = ["run-all", *SMALL, "--workspace", str(workspace), "--set", "publishing.model=other"]
    done = prefect.commands.run(arguments, environment)
    assert done.returncode == 0, done.stderr
    assert f"promoted: other {finished[1]['version']}" in done.stdout
    assert "warning: the notification could not be sent" in done.stderr
