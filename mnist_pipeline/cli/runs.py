"""What ran, what was reused, how long, why it ended."""

from typing import TYPE_CHECKING, Annotated

import typer

from mnist_pipeline.cli import options
from mnist_pipeline.cli.options import WORKSPACE
from mnist_pipeline.cli.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mnist_pipeline.runs import RunRecord
    from mnist_pipeline.workspace import Workspace

app = typer.Typer(help="Runs of the pipeline.", no_args_is_help=True)


@app.command("list")
def list_runs(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many of the latest.")] = 20,
    workspace: options.Workspace = WORKSPACE,
    as_json: options.Json = False,
) -> None:
    """The latest runs, newest first."""
    terminal = Terminal.open(ctx, as_json=as_json)
    from itertools import islice

    from mnist_pipeline.runs import runs
    from mnist_pipeline.workspace import Workspace

    place = Workspace(workspace.resolve())
    records = [run.record for run in islice(runs(place), limit)]
    statuses = _statuses(place, records)
    rows = [
        {
            "run": record.run_id,
            "status": statuses[record.run_id],
            "started": record.started.isoformat(),
            "seconds": round(sum(step.seconds for step in record.steps.values()), 1),
            "reused": record.reused,
            "reason": record.reason if as_json else (record.reason or "")[:60],
        }
        for record in records
    ]
    if not rows and not as_json:
        terminal.say(f"no runs in {workspace}; start one with: mnist-pipeline run-all")
        return
    terminal.table(rows)


@app.command()
def show(
    ctx: typer.Context,
    run_id: options.RunId = None,
    workspace: options.Workspace = WORKSPACE,
    as_json: options.Json = False,
) -> None:
    """One run, step by step."""
    terminal = Terminal.open(ctx, as_json=as_json)
    from mnist_pipeline.runs import Run
    from mnist_pipeline.workspace import Workspace

    place = Workspace(workspace.resolve())
    run = Run.open(place, run_id)
    record = run.record
    status = _statuses(place, [record])[record.run_id]
    steps = [
        f"  {name:<9}{step.seconds:>9.1f} s  {f'reused from {step.reused_from}' if step.reused_from else 'done'}"
        for name, step in record.steps.items()
    ]
    ended = f", {record.finished:%Y-%m-%d %H:%M:%S} UTC" if record.finished else ""
    terminal.result(
        record.model_dump(mode="json") | {"status": status, "directory": str(run.directory.path)},
        f"{record.run_id}: {status}{f', {record.reason}' if record.reason else ''}",
        f"from {record.started:%Y-%m-%d %H:%M:%S} UTC{ended}, mnist-pipeline {record.code_version}",
        *steps,
        str(run.directory.path),
    )


def _statuses(workspace: "Workspace", records: "Sequence[RunRecord]") -> dict[str, str]:
    """Run id -> how it stands; a run that says that it runs, and whose process is gone, was interrupted."""
    from mnist_pipeline.runs.training_lock import find_training

    statuses: dict[str, str] = {record.run_id: record.status for record in records}
    running = [record for record in records if record.status == "running"]
    holder = find_training(workspace) if running else None
    for record in running:
        if holder is None or record.started < holder.since:
            statuses[record.run_id] = "interrupted"
    return statuses
