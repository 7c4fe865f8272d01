"""`evaluate` reads the test images, and whoever reads them is counted, published or not."""

import json

import pytest
from typer.testing import CliRunner

from mnist_pipeline.cli.app import app
from mnist_pipeline.files import read_json, write_json
from mnist_pipeline.registry import open_registry
from mnist_pipeline.runs.artifacts import ExportedModel
from mnist_pipeline.runs.run import Run
from mnist_pipeline.workspace import Workspace

pytestmark = pytest.mark.usefixtures("undrawn")
WORSE, GOOD, BETTER = 2, 20, 60


def measure(run: Run, *, registry: str | None = None, code: int = 0) -> str:
    """What the command says on standard error."""
    if registry:
        config = read_json(run.directory.config)
        write_json(run.directory.config, config | {"publishing": config["publishing"] | {"registry": registry}})
    done = CliRunner().invoke(app, ["evaluate", run.directory.id, "--workspace", str(run.workspace.root)])
    assert done.exit_code == code, done.stderr
    return done.stderr


def version_of(run: Run) -> str:
    return run.output(ExportedModel).sha256[:12]


def test_an_evaluation_is_an_entry_of_the_history_once_for_each_model(candidates):
    run, other = candidates.train(GOOD), candidates.train(BETTER)
    for one in (run, run, other):
        measure(one)
    entries = candidates.registry.history("digits").changes
    assert [(one.action, one.after, one.run) for one in entries] == [
        ("evaluate", version_of(one), one.directory.id) for one in (run, other)
    ]
    assert entries[0].measurement.accuracy == pytest.approx(0.9111, abs=1e-4)
    assert candidates.registry.versions("digits") == []
    assert candidates.champion is None


def test_candidates_that_were_evaluated_and_not_published_count_where_accuracy_is_corrected(candidates):
    champion, looked_at, better = (candidates.train(steps) for steps in (WORSE, GOOD, BETTER))
    candidates.publish(champion)
    measure(looked_at)
    measure(better)
    candidates.publish(better)
    gate = json.loads(better.directory.gate.read_text())
    assert gate["compared"] == 3
    assert len(candidates.registry.history("digits").challengers) == 0  # the one looked at stood against nobody
    listed = candidates.registry.history("digits").measured
    assert list(listed) == [version_of(one) for one in (champion, looked_at, better)]
    assert candidates.champion == version_of(better)


def test_the_entry_is_where_the_run_publishes(candidates, object_server, tmp_path):
    run, place = candidates.train(GOOD), "s3://bucket/evaluated"
    measure(run, registry=place)
    assert list(open_registry(place, cache=tmp_path / "cache").history("digits").measured) == [version_of(run)]
    assert not candidates.workspace.models.exists()


def test_where_the_entry_cannot_be_written_it_is_said_and_the_evaluation_stays(candidates, tmp_path):
    run = candidates.train(GOOD)
    run.directory.evaluation_json.unlink()
    (tmp_path / "file").write_text("in the way")
    said = measure(run, registry=str(tmp_path / "file" / "registry"), code=1)
    assert said.count("error: ") == 1
    assert "Traceback" not in said
    assert read_json(run.directory.evaluation_json)["samples"] == 360
    run = Run.open(Workspace(run.workspace.root), run.directory.id)
    assert measure(run, registry=str(tmp_path / "registry")) is not None
    assert list(open_registry(tmp_path / "registry", cache=tmp_path).history("digits").measured) == [version_of(run)]
