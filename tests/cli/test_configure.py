"""What was said on the command line, in files and in the environment, as one configuration."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mnist_pipeline.cli.app import app
from mnist_pipeline.cli.configure import ConfigOptions
from mnist_pipeline.config import PRESETS
from mnist_pipeline.files import read_json, write_json
from mnist_pipeline.runs.run import Run
from mnist_pipeline.workspace import Workspace


def test_named_options_win_over_set_over_the_file_over_the_preset(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text('[training]\npreset = "codelab"\nepochs = 2\nbatch_size = 64\nlearning_rate = 0.5\n')
    said = ConfigOptions(
        file=file,
        assignments=["training.epochs=3", "training.batch_size=128"],
        epochs=4,
        device="cpu",
        source="/data",
    )
    config = said.config()
    expected = {"epochs": 4, "batch_size": 128, "learning_rate": 0.5, "device": "cpu"}
    assert config.training == PRESETS["codelab"].model_copy(update=expected)
    assert (config.evaluation.device, config.fetch.source) == ("cpu", "/data")


@pytest.mark.parametrize(
    ("named", "falls_back"),
    [({}, True), ({"source": "/data"}, False), ({"dataset": "mnist"}, False), ({"dataset": "digits"}, False)],
)
def test_only_who_names_nothing_is_helped_with_the_embedded_digits(named, falls_back):
    assert ConfigOptions(**named).config().fetch.fall_back_to_digits is falls_back


def test_a_source_means_the_same_wherever_the_run_is_started(tmp_path, monkeypatch):
    """A worker, and a later run, stand in other folders."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    assert ConfigOptions(source="mirror/../mnist").config().fetch.source == str(tmp_path / "mnist")
    assert ConfigOptions(source="~/mnist").config().fetch.source == "/home/me/mnist"
    for as_it_is in ("s3://bucket/mnist", "https://example.org/a?b", "file:///mnt/a", "~nobody-here/x", ""):
        assert ConfigOptions(source=as_it_is).config().fetch.source == as_it_is


def test_fetch_prints_where_the_dataset_is(tmp_path):
    result = CliRunner().invoke(app, ["fetch", "--dataset", "digits", "--workspace", str(tmp_path), "--json"])
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert Path(found["directory"]).parent == tmp_path / "datasets"
    assert (Path(found["directory"]) / "images.npy").is_file()


@pytest.mark.parametrize("command", ["export", "evaluate", "publish"])
def test_a_run_of_an_older_version_is_gone_on_with(tmp_path, command):
    run = Run.start(Workspace(tmp_path), ConfigOptions(dataset="digits").config())
    stored = read_json(run.directory.config)
    write_json(run.directory.config, stored | {"training": stored["training"] | {"kill_after_minutes": None}})
    result = CliRunner().invoke(app, [command, "--workspace", str(tmp_path)])
    assert f"run {run.directory.id} has no finished step 'fetch'" in result.stderr


def test_the_environment_names_workspace_and_source(tmp_path, monkeypatch):
    monkeypatch.setenv("MNIST_PIPELINE_WORKSPACE", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("MNIST_PIPELINE_DATASET", "digits")
    result = CliRunner().invoke(app, ["fetch", "-q"])
    assert result.exit_code == 0, result.stderr
    assert str(tmp_path / "elsewhere" / "datasets") in result.stdout
    assert result.stderr == ""


def test_presets_are_listed_with_their_values():
    result = CliRunner().invoke(app, ["train", "--list-presets", "--json"])
    rows = {row["preset"]: row for row in json.loads(result.stdout)["presets"]}
    assert list(rows) == list(PRESETS)
    assert (rows["codelab"]["batch_size"], rows["codelab"]["epochs"], rows["sgd-2018"]["learning_rate"]) == (
        512,
        10,
        0.15,
    )
