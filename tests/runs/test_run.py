"""The record: what is reused, what is done again, and what is never trusted."""

from pathlib import Path

import pytest

from mnist_pipeline.config import ExportConfig, PipelineConfig, parse_config
from mnist_pipeline.errors import DataError, UsageError
from mnist_pipeline.files import read_json, write_text
from mnist_pipeline.runs.artifacts import ExportedModel, Output
from mnist_pipeline.runs.fingerprint import Sources
from mnist_pipeline.runs.run import Run, runs
from mnist_pipeline.workspace import Workspace

SOURCES = Sources(("errors.py",), ("numpy", "no-such-package"))


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "workspace")


def do_export(run: Run, config: ExportConfig = ExportConfig(), inputs: tuple[Output, ...] = (), text="model"):
    """A stand-in for a step: writes a file, and tells whether it was called."""
    calls = []

    def work(key: str) -> ExportedModel:
        calls.append(key)
        write_text(run.directory.model_onnx, text)
        files = Output.digests(run.directory.model_onnx)
        return ExportedModel(directory=run.directory.path, files=files, opset=17, max_abs_difference=0)

    exported = run.once(ExportedModel, config=config, inputs=inputs, sources=SOURCES, work=work)
    return exported, calls


def start(workspace: Workspace, **options) -> Run:
    return Run.start(workspace, PipelineConfig(), **options)


def test_the_password_of_a_source_is_not_kept(workspace):
    config = parse_config(PipelineConfig, {"fetch": {"source": "https://me:secret@example.org/mnist?token=secret"}})
    run = Run.start(workspace, config)
    assert read_json(run.directory.config)["fetch"]["source"] == "https://example.org/mnist"
    assert read_json(run.directory.config)["training"] == config.training.model_dump(mode="json")
    folder = Run.start(workspace, parse_config(PipelineConfig, {"fetch": {"source": "/data/mnist"}}))
    assert read_json(folder.directory.config)["fetch"]["source"] == "/data/mnist"


def test_runs_of_one_second_are_listed_by_their_start(workspace):
    started = [start(workspace).directory.id for _ in range(12)]
    assert [run.directory.id for run in runs(workspace)] == started[::-1]
    assert Run.open(workspace).directory.id == started[-1]


def test_the_same_step_is_done_once_and_its_files_are_in_both_runs(workspace):
    first, second = start(workspace), start(workspace)
    _, calls = do_export(first)
    exported, again = do_export(second)
    assert (len(calls), len(again)) == (1, 0)
    assert exported.directory == second.directory.path
    assert second.directory.model_onnx.read_text() == "model"
    assert second.record.reused == ["export"]
    assert second.record.steps["export"].reused_from == first.directory.id


def test_another_config_another_input_or_fresh_does_the_step_again(workspace):
    exported, _ = do_export(start(workspace))
    assert do_export(start(workspace), ExportConfig(opset=18))[1]
    assert do_export(start(workspace), inputs=(exported,))[1]
    assert do_export(start(workspace, fresh=True))[1]
    assert not do_export(start(workspace))[1]


@pytest.mark.parametrize("damage", [lambda path: path.write_text("modem"), Path.unlink])
def test_files_that_changed_or_vanished_are_not_trusted(workspace, damage, caplog):
    first = start(workspace)
    do_export(first)
    damage(first.directory.model_onnx)
    second = start(workspace)
    exported, calls = do_export(second)
    assert calls
    assert exported.verify().directory == second.directory.path
    assert f"step export of run {first.directory.id} cannot be reused" in caplog.text


def test_a_moved_workspace_keeps_its_memory(workspace, tmp_path):
    do_export(start(workspace))
    moved = Workspace(tmp_path / "elsewhere")
    workspace.root.rename(moved.root)
    assert not do_export(start(moved))[1]


def test_a_failed_run_says_why_and_its_finished_steps_are_reused(workspace):
    run = start(workspace)
    with pytest.raises(DataError), run.ending():
        do_export(run)
        raise DataError("the label file has 649,999 bytes")
    assert (run.record.status, run.record.reason) == ("failed", "the label file has 649,999 bytes")
    assert not do_export(start(workspace))[1]


def test_a_torn_record_is_passed_over(workspace, caplog):
    torn, whole = start(workspace), start(workspace)
    torn.directory.record.write_text('{"run_id": "2026')
    assert [run.directory.id for run in runs(workspace)] == [whole.directory.id]
    assert torn.directory.id in caplog.text


def test_opening_a_run_that_is_not_there_names_those_that_are(workspace):
    with pytest.raises(UsageError, match="no run in"):
        Run.open(workspace)
    run = start(workspace)
    assert Run.open(workspace).directory == run.directory
    with pytest.raises(UsageError, match=f"no run 'x' in .*{run.directory.id}"):
        Run.open(workspace, "x")


def test_a_step_that_has_not_run_is_asked_for_by_its_command(workspace):
    with pytest.raises(UsageError, match="no finished step 'export'; run: mnist-pipeline export"):
        start(workspace).output(ExportedModel)
