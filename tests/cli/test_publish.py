"""`publish`, `models` and `runs` tell one truth about who is champion, and end with the code of what happened."""

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from mnist_pipeline.cli.app import app
from mnist_pipeline.config import PipelineConfig
from mnist_pipeline.runs.artifacts import ExportedModel
from mnist_pipeline.runs.run import Run
from mnist_pipeline.runs.training_lock import only_training
from tests.support.forked_commands import LIGHT, forked_commands

pytestmark = pytest.mark.usefixtures("undrawn")
GOOD, BETTER = 20, 60


def command(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def test_publishing_again_tells_who_is_champion_today(candidates):
    place = ["--workspace", str(candidates.workspace.root)]

    def publish(run: Run, code: int = 0) -> str:
        return command("publish", run.directory.id, *place, code=code)

    def found(*arguments: str) -> Any:
        return json.loads(command(*arguments, *place, "--json"))

    run, better = candidates.train(GOOD), candidates.train(BETTER)
    versions = [one.output(ExportedModel).sha256[:12] for one in (run, better)]
    assert publish(run).startswith(f"promoted: digits {versions[0]}, accuracy 91.11 %\nmodel   ")
    assert publish(better).startswith(f"promoted: digits {versions[1]}, accuracy 92.50 %\nmodel   ")

    again = publish(run, code=3)
    assert again.startswith(f"refused: digits {versions[0]}, accuracy 91.11 %\nrefused because: Against champion ")
    assert f"\nthe champion is {versions[1]}\n" in again
    shown = command("models", "show", versions[0], *place)
    assert "\naliases    none\n" in shown
    assert "\ngate       then passed\n" in shown
    assert found("models", "show")["aliases"] == ["champion"]
    assert [row["status"] for row in found("runs", "list")["runs"]] == ["promoted", "refused"]

    command("models", "rollback", "--reason", "false alarms", *place)
    refused = json.loads(command("publish", better.directory.id, *place, "--json", code=3))
    assert (refused["status"], refused["promoted"], refused["champion"]) == ("refused", False, versions[0])
    assert "(false alarms), and no run undoes that" in refused["reasons"][0]
    assert found("models", "show")["version"] == versions[0]

    unchanged = publish(run)
    assert unchanged.startswith(
        f"unchanged: digits {versions[0]}, accuracy 91.11 %\nit is the champion already\nmodel "
    )
    assert found("runs", "show", run.directory.id)["status"] == "unchanged"


@pytest.fixture
def elsewhere(tmp_path) -> Iterator[Callable[..., Any]]:
    """What a command says with ``--json`` in a process of its own."""
    with forked_commands(tmp_path, os.environ, LIGHT) as commands:

        def run(*arguments: str) -> Any:
            done = commands.run([*arguments, "--json"], os.environ)
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout)

        yield run


def test_a_run_whose_process_is_gone_was_interrupted(candidates, elsewhere):
    killed = Run.start(candidates.workspace, PipelineConfig())

    def statuses() -> list[str]:
        place = ["--workspace", str(candidates.workspace.root)]
        listed = elsewhere("runs", "list", *place)["runs"]
        shown = [elsewhere("runs", "show", row["run"], *place) for row in listed]
        assert [row["status"] for row in listed] == [one["status"] for one in shown]
        return [row["status"] for row in listed]

    assert statuses() == ["interrupted"]
    record = killed.record.model_copy(update={"started": datetime.now(UTC) - timedelta(minutes=1)})
    killed.directory.record.write_text(record.model_dump_json())
    with only_training(candidates.workspace):
        Run.start(candidates.workspace, PipelineConfig())
        assert statuses() == ["running", "interrupted"]
    assert statuses() == ["interrupted", "interrupted"]
