"""What ran, what was reused, how long, why it ended."""

from typing import Annotated

import typer

from mnist_pipeline.cli import options
from mnist_pipeline.cli.options import WORKSPACE
from mnist_pipeline.cli.terminal import Terminal

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

    rows = [
        {
            "run": record.run_id,
            "status": record.status,
            "started": record.started.isoformat(),
            "seconds": round(sum(step.seconds for step in record.steps.values()), 1),
            "reused": record.reused,
            "error": record.error if as_json else (record.error or "")[:60],
        }
        for record in (run.record for run in islice(runs(Workspace(workspace.resolve())), limit))
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

    run = Run.open(Workspace(workspace.resolve()), run_id)
    record = run.record
    steps = [
        f"  {name:<9}{step.seconds:>9.1f} s  {f'reused from {step.reused_from}' if step.reused_from else 'done'}"
        for name, step in record.steps.items()
    ]
    ended = f", {record.finished:%Y-%m-%d %H:%M:%S} UTC" if record.finished else ""
    terminal.result(
        record.model_dump(mode="json") | {"directory": str(run.directory.path)},
        f"{record.run_id}: {record.status}{f', {record.error}' if record.error else ''}",
        f"from {record.started:%Y-%m-%d %H:%M:%S} UTC{ended}, mnist-pipeline {record.code_version}",
        *steps,
        str(run.directory.path),
    )
