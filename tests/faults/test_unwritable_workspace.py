"""A workspace that can only be read, and shares that cannot flush folders: what reads works, what writes says why."""

import errno
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from mnist_pipeline import steps
from mnist_pipeline.cli.app import app
from mnist_pipeline.config import FetchConfig, PipelineConfig, parse_config
from mnist_pipeline.data.dataset import Dataset
from mnist_pipeline.data.fetch import fetch_dataset
from mnist_pipeline.errors import PipelineError
from mnist_pipeline.files import write_json
from mnist_pipeline.registry import Registry
from mnist_pipeline.runs.artifacts import ExportedModel, FetchedDataset, NoveltyModel, Output, TrainedModel
from mnist_pipeline.runs.run import Run
from mnist_pipeline.runs.training_lock import only_training
from mnist_pipeline.workspace import Workspace
from tests.support import linear_models
from tests.support.forked_commands import LIGHT, Commands, forked_commands

COMMAND = [sys.executable, "-P", "-m", "mnist_pipeline"]
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
REFUSED = "cannot be written: Read-only file system; name a folder that can be written with --workspace"
GATE = {"min_accuracy": 0.8, "min_class_accuracy": 0.5, "max_calibration_error": 0.5}


def make_run(workspace: Workspace, config: PipelineConfig, training_steps: int) -> Run:
    """A run up to its export: softmax regression in place of Keras' model."""
    run = Run.start(workspace, config)
    dataset = steps.fetch(config.fetch, run)
    data = Dataset.open(dataset.directory)
    weights = linear_models.fit(data.train.images, data.train.labels, training_steps)
    _, exported = linear_models.export(weights, dataset, run.directory.path)
    run.directory.model_keras.write_bytes(b"not read")
    write_json(run.directory.parity, linear_models.proven(exported.sha256).model_dump(mode="json"))
    files = Output.digests(run.directory.model_keras, run.directory.history)
    run.note("key", linear_models.trained(run.directory.path, files), 1.0, None)
    novelty = NoveltyModel(directory=run.directory.path, files={}, samples=0, parameters=0, weights_sha256="c3" * 32)
    run.note("key", novelty, 1.0, None)
    files = exported.files | Output.digests(run.directory.parity)
    run.note("key", exported.model_copy(update={"files": files}), 1.0, None)
    return run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str, str]:
    """A workspace, a version in it, the run that published it, and one that was killed before its report was drawn."""
    root = tmp_path_factory.mktemp("finished") / "workspace"
    workspace = Workspace(root)
    config = parse_config(
        PipelineConfig, {"fetch": {"dataset": "digits"}, "evaluation": {"device": "cpu"}, "publishing": {"gate": GATE}}
    )
    undrawn = make_run(workspace, config, 40)
    steps.evaluate(config.evaluation, undrawn.output(FetchedDataset), undrawn.output(ExportedModel), undrawn)
    run = make_run(workspace, config, 60)
    made = run.output(FetchedDataset), run.output(TrainedModel), run.output(ExportedModel)
    evaluated = steps.evaluate(config.evaluation, made[0], made[2], run)
    published = steps.publish(config.publishing, *made, evaluated, run)
    assert published.promoted, published.reasons
    run.finish("promoted")
    shutil.rmtree(workspace.locks)
    workspace.locks.mkdir()
    (workspace.locks / "training.lock").touch()  # as a killed training leaves it
    return root, published.version, run.directory.id, undrawn.directory.id


@pytest.fixture(scope="module")
def mounted(finished: tuple[Path, str, str, str], tmp_path_factory) -> Iterator[Callable[..., Any]]:
    """Run a command while the workspace, or another folder, is mounted read-only."""
    within = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", READ_ONLY]
    try:
        tried = subprocess.run([*within, finished[0], "true"], capture_output=True, check=False).returncode
    except FileNotFoundError:
        tried = 1
    if tried != 0:
        pytest.skip("nothing can be mounted here (needs user namespaces)")

    with ExitStack() as running:

        @cache
        def commands(folder: Path) -> Commands:
            out = tmp_path_factory.mktemp("said")
            return running.enter_context(forked_commands(out, os.environ, LIGHT, [*within, folder]))

        def run(*arguments: str, folder: Path = finished[0]) -> subprocess.CompletedProcess[str]:
            done = commands(folder).run([*arguments, "--workspace", str(finished[0])], os.environ)
            assert "Traceback" not in done.stderr
            return done

        yield run


def test_reading_commands_need_no_right_to_write(finished, mounted, tmp_path: Path):
    root, version, run, undrawn = finished
    image = tmp_path / "images" / "blank.png"
    image.parent.mkdir()
    Image.new("L", (28, 28)).save(image)

    def told(*arguments: str) -> Any:
        done = mounted(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    assert [row["version"] for row in told("models", "list")["versions"]] == [version]
    assert told("models", "show")["path"] == str(root / "models" / "digits" / version / "model.onnx")
    assert [row["action"] for row in told("models", "history")["changes"]] == ["publish", "promote"]
    assert told("models", "at", "2999-01-01")["to"] == version
    assert told("models", "verify", "--all") == {"findings": []}
    assert told("models", "prune", "--keep", "0", "--dry-run")["versions"] == []
    runs = told("runs", "list")["runs"]
    assert [(row["run"], row["status"]) for row in runs] == [(run, "promoted"), (undrawn, "interrupted")]
    assert told("runs", "show", run)["status"] == "promoted"
    assert told("report", version)["report"] == str(root / "models" / "digits" / version / "report.html")
    assert told("fetch", "--dataset", "digits")["reused"]
    output = tmp_path / "rows.csv"
    assert told("score", str(image.parent), "--output", str(output))["no_digit"] == 1
    assert output.read_text().splitlines()[1].startswith("blank.png,no_digit,")


def test_the_report_that_is_there_is_shown(finished, mounted):
    root, _, run, undrawn = finished
    done = mounted("report", run, "--json")
    page = root / "runs" / run / "report.html"
    assert (done.returncode, json.loads(done.stdout)) == (0, {"report": str(page)})
    assert f"this is the report as it was: {page.parent} cannot be written (Read-only file system)" in done.stderr
    none = mounted("report", undrawn)
    folder = root / "runs" / undrawn
    assert none.returncode == 1
    assert none.stderr.strip() == (
        f"error: the workspace {root} cannot be written: Read-only file system: {folder}; "
        "name a folder that can be written with --workspace"
    )


@pytest.mark.parametrize(
    "command",
    [
        ["fetch", "--dataset", "{sprite}"],
        ["train", "--dataset", "digits"],
        ["export", "{run}"],
        ["evaluate", "{run}", "--fresh"],
        ["publish", "{run}"],
    ],
)
def test_writing_commands_say_so_in_one_line_and_at_once(finished, mounted, small_sprite, command: list[str]):
    root, _, run, _ = finished
    done = mounted(*(word.format(sprite=small_sprite.describe(), run=run) for word in command))
    assert (done.returncode, done.stderr.strip(), done.stdout) == (1, f"error: the workspace {root} {REFUSED}", "")


def test_a_registry_that_cannot_be_written_keeps_what_it_has(finished, mounted):
    root, version, _, _ = finished
    for command in (["promote", version[:6], "--reason", "x"], ["rollback", "--reason", "x"], ["prune", "--keep", "0"]):
        done = mounted("models", *command)
        assert done.returncode == 1
        assert done.stderr.strip() == (
            f"error: cannot write to {root / 'models'}: Read-only file system; what was published before is untouched; "
            "name a folder that can be written with --registry or --workspace"
        )
    assert Registry(root / "models").champion("digits") == version


def test_a_folder_of_the_workspace_that_cannot_be_written_is_named(finished, mounted):
    root, _, _, undrawn = finished
    folder = root / "runs" / undrawn
    done = mounted("evaluate", undrawn, "--fresh", folder=folder)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"error: the workspace {root} cannot be written: Read-only file system: {folder / 'predictions.npy'}; "
        "name a folder that can be written with --workspace"
    )


def test_reading_commands_make_no_workspace(tmp_path: Path):
    nowhere = tmp_path / "nowhere"
    for command in ("models list", "models verify --all", "runs list", "runs show", "report"):
        CliRunner().invoke(app, [*command.split(), "--workspace", str(nowhere), "--json"])
    assert not nowhere.exists()


def test_a_workspace_below_a_file_is_refused_in_one_line(tmp_path: Path):
    (tmp_path / "file").touch()
    workspace = tmp_path / "file" / "workspace"
    done = subprocess.run(
        [*COMMAND, "train", "--dataset", "digits", "--workspace", workspace],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: the workspace {workspace} cannot be written: Not a directory")
    assert len(done.stderr.splitlines()) == 1


def test_a_disk_that_fills_up_during_a_run_is_told_in_its_record(finished, tmp_path: Path):
    run = Run.start(Workspace(tmp_path / "workspace"), PipelineConfig())
    line = "No space left on device; free some space, or name a folder that can be written with --workspace"
    with pytest.raises(PipelineError, match=line) as caught, run.ending():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert (run.record.status, run.record.reason) == ("failed", str(caught.value))
    with pytest.raises(FileNotFoundError), run.ending():  # another program's error stays what it is
        (tmp_path / "elsewhere").read_bytes()


def test_a_record_that_cannot_be_written_does_not_hide_why_the_run_failed(tmp_path: Path, caplog):
    run = Run.start(Workspace(tmp_path / "workspace"), PipelineConfig())
    with pytest.raises(PipelineError, match="the reason"), run.ending():
        shutil.rmtree(run.directory.path)
        run.directory.path.write_text("a file is in the way")
        raise PipelineError("the reason")
    assert f"the record of run {run.directory.id} does not say so" in caplog.text


# Shares that cannot flush folders


@pytest.mark.parametrize("answer", ["EINVAL", "ENOTSUP", "EBADF", "ENOSYS"])
def test_a_share_that_cannot_flush_folders_is_written(small_sprite, tmp_path: Path, monkeypatch, answer: str):
    flush = os.fsync
    refused: list[int] = []

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            refused.append(descriptor)
            raise OSError(getattr(errno, answer), os.strerror(getattr(errno, answer)))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    fetched = fetch_dataset(FetchConfig(dataset=small_sprite.describe()), Workspace(tmp_path / "workspace")).verify()
    assert fetched.name == "small"
    assert refused


def test_a_folder_whose_disk_fails_is_not_passed_over(small_sprite, tmp_path: Path, monkeypatch):
    flush = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(PipelineError, match="cannot be written: Input/output error"):
        fetch_dataset(FetchConfig(dataset=small_sprite.describe()), Workspace(tmp_path / "workspace"))


SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/stat.h>
int fsync(int descriptor) {
    struct stat status;
    if (fstat(descriptor, &status) == 0 && S_ISDIR(status.st_mode)) { errno = EINVAL; return -1; }
    int (*next)(int) = dlsym(RTLD_NEXT, "fsync");
    return next(descriptor);
}
"""


def test_a_whole_fetch_on_such_a_share(small_sprite, tmp_path: Path):
    """The system's own call answers so, for whoever makes it."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler is installed, to stand between the program and the system")
    (tmp_path / "shim.c").write_text(SHIM)
    shim = tmp_path / "shim.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", shim, tmp_path / "shim.c", "-ldl"], check=True)
    command = [*COMMAND, "fetch", "--dataset", small_sprite.describe(), "--workspace", tmp_path / "workspace", "--json"]
    environment = {name: value for name, value in os.environ.items() if name != "MNIST_PIPELINE_SOURCE"}
    environment["LD_PRELOAD"] = str(shim)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["name"] == "small"


def test_a_training_that_goes_on_is_not_called_interrupted_where_nothing_can_be_written(finished, mounted):
    workspace = Workspace(finished[0])

    def status() -> str:
        return json.loads(mounted("runs", "show", run.directory.id, "--json").stdout)["status"]

    with only_training(workspace):
        run = Run.start(workspace, PipelineConfig())
        assert status() == "running"
    assert status() == "interrupted"
    shutil.rmtree(run.directory.path)
