"""`report --compare` writes its page, and nothing else."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from mnist_pipeline.cli.app import app
from mnist_pipeline.config import PipelineConfig
from mnist_pipeline.reporting import files
from mnist_pipeline.runs.run import Run
from mnist_pipeline.workspace import Workspace


@pytest.fixture
def compare(tmp_path, monkeypatch):
    workspace = Workspace(tmp_path / "work")
    runs = [Run.start(workspace, PipelineConfig()).directory for _ in range(2)]

    def write(_a: object, _b: object, path: Path, _datasets: object) -> Path:
        path.write_text("page")
        return path

    monkeypatch.setattr(files, "write_comparison", write)  # runs that have something to compare take a training each

    def run(*words: object, code: int = 0) -> str:
        command = ["report", runs[0].id, "--compare", runs[1].id, "--workspace", str(workspace.root)]
        done = CliRunner().invoke(app, [*command, *map(str, words)])
        assert done.exit_code == code, done.output
        return done.stderr.removeprefix("error: ").strip()

    return run, runs[0]


def test_a_file_that_is_there_is_kept_unless_told_otherwise(compare, tmp_path):
    run, _ = compare
    page = tmp_path / "page.html"
    page.write_text("mine")
    assert run("--output", page, code=2) == f"--output {page} exists; --overwrite replaces it"
    assert page.read_text() == "mine"
    run("--output", page, "--overwrite")
    assert page.read_text() == "page"


def test_files_of_the_runs_and_published_versions_are_never_written_over(compare, tmp_path):
    run, one = compare
    before = one.config.read_bytes()
    said = run("--output", one.config, "--overwrite", code=2)
    assert said == f"--output {one.config}: is a file of the run {one.path}; name another file"
    assert one.config.read_bytes() == before
    models = tmp_path / "work" / "models"
    said = run("--output", models / "mnist" / "page.html", code=2)
    assert said.endswith(f"lies in {models}, where nothing is ever changed; name another folder")
    assert not models.exists()
