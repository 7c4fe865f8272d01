"""What works on this machine."""

import typer

from mnist_pipeline.cli import options
from mnist_pipeline.cli.options import WORKSPACE
from mnist_pipeline.cli.terminal import Terminal

MARKS = {"ok": "ok", "note": "--", "broken": "XX"}


def doctor(
    ctx: typer.Context,
    workspace: options.Workspace = WORKSPACE,
    dataset: options.Dataset = None,
    source: options.Source = None,
    as_json: options.Json = False,
) -> None:
    """Try everything that run-all needs; exit 1 if it could not run."""
    terminal = Terminal.open(ctx, as_json=as_json)
    from mnist_pipeline.cli.configure import configure
    from mnist_pipeline.doctor import diagnose
    from mnist_pipeline.workspace import Workspace

    config = configure(dataset=dataset, source=source).fetch
    findings = list(diagnose(config, Workspace(workspace.resolve())))
    rows = [finding.model_dump() for finding in findings]
    if not as_json:
        rows = [row | {"state": MARKS[row["state"]]} for row in rows]
    terminal.table(rows, columns=["state", "name", "detail"])
    if any(finding.state == "broken" for finding in findings):
        raise typer.Exit(1)
