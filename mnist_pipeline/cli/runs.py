"""What ran, what was reused, how long, why it ended."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from mnist_pipeline.cli import options
from mnist_pipeline.cli.tables import Table
from mnist_pipeline.cli.terminal import Terminal
from mnist_pipeline.runs.wording import moment, plain_percent
from mnist_pipeline.workspace import Workspace

if TYPE_CHECKING:
    from mnist_pipeline.runs.record import RunRecord, Summary
    from mnist_pipeline.runs.run import Run

REFUSED = 3
"""Exit code of a run whose candidate the gate refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Which run is meant, and whether it reuses what earlier ones made."""

    run_id: Annotated[str | None, typer.Argument(metavar="[RUN]", help="Run id; by default the latest run.")] = None
    workspace: options.Workspace = options.WORKSPACE
    fresh: options.Fresh = False

    def open(self) -> "Run":
        """As `Run.open`."""
        from mnist_pipeline.runs.run import Run

        return replace(Run.open(Workspace(self.workspace.resolve()), self.run_id), fresh=self.fresh)


def list_(
    terminal: Terminal,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many of the latest.")] = 20,
    workspace: options.Workspace = options.WORKSPACE,
) -> None:
    """The latest runs, newest first."""
    from mnist_pipeline.runs.run import runs

    place = Workspace(workspace.resolve())
    records = [run.record for run in islice(runs(place), limit)]
    statuses = _statuses(place, records)
    found = [
        {
            "run": record.run_id,
            "status": statuses[record.run_id],
            "started": record.started.isoformat(),
            "seconds": record.seconds,
            "reused": record.reused,
            "reason": record.reason,
        }
        for record in records
    ]
    if not found:
        terminal.say(f"no runs in {workspace}; start one with: mnist-pipeline run-all")
    rows = [
        (
            record.run_id,
            statuses[record.run_id],
            moment(record.started),
            f"{record.seconds:.1f} s",
            ", ".join(record.reused),
            record.reason or "",
        )
        for record in records
    ]
    table = Table(["run", "status", "started", "took", "reused"], rows, prose="reason")
    terminal.result({"runs": found}, table=table)


def show(terminal: Terminal, which: Annotated[RunOptions, "run_id workspace"]) -> None:
    """One run, step by step."""
    run = which.open()
    record = run.record
    status = _statuses(run.workspace, [record])[record.run_id]
    steps = [
        f"  {name:<9}{step.seconds:>9.1f} s  {f'reused from {step.reused_from}' if step.reused_from else 'done'}"
        for name, step in record.steps.items()
    ]
    ended = f" to {moment(record.finished)}" if record.finished else ""
    terminal.result(
        record.model_dump(mode="json") | {"status": status, "directory": str(run.directory.path)},
        f"{record.run_id}: {status}{f', {record.reason}' if record.reason else ''}",
        f"from {moment(record.started)}{ended}, mnist-pipeline {record.code_version}",
        *steps,
        str(run.directory.path),
    )


def _statuses(workspace: Workspace, records: Sequence["RunRecord"]) -> dict[str, str]:
    """Run id -> how it stands; a run that says that it runs, and whose process is gone, was interrupted."""
    from mnist_pipeline.runs.training_lock import find_training

    statuses: dict[str, str] = {record.run_id: record.status for record in records}
    running = [record for record in records if record.status == "running"]
    holder = find_training(workspace) if running else None
    for record in running:
        if holder is None or record.started < holder.since:
            statuses[record.run_id] = "interrupted"
    return statuses


def show_summary(terminal: Terminal, summary: "Summary") -> None:
    """Print how a run ended.

    Raises:
        Exit: the gate refused the candidate.
    """
    reused = ", ".join(summary.reused) or "nothing"
    terminal.result(
        summary.model_dump(mode="json"),
        f"{summary.status}: {summary.model} {summary.version}, accuracy {plain_percent(summary.accuracy)}",
        *(f"refused because: {reason}" for reason in summary.reasons),
        *([summary.remark] if summary.remark else []),
        f"model   {summary.onnx}",
        f"report  {summary.report}",
        f"run     {summary.run_id}, reused: {reused}",
    )
    if summary.status == "refused":
        raise typer.Exit(REFUSED)
