"""Reports of runs and versions."""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from mnist_pipeline.cli import options
from mnist_pipeline.cli.lookup import find_registry, pick_model
from mnist_pipeline.cli.options import WORKSPACE
from mnist_pipeline.cli.terminal import Terminal
from mnist_pipeline.errors import UsageError
from mnist_pipeline.workspace import REPORT_HTML

COMPARE = "compare"


def report(
    ctx: typer.Context,
    target: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN|VERSION] | compare RUN RUN", help="The latest run where none is given."),
    ] = None,
    name: options.ModelName = None,
    workspace: options.Workspace = WORKSPACE,
    registry: options.Registry = None,
    show: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    output: Annotated[Path | None, typer.Option("--output", help="Where compare writes its page.")] = None,
    as_json: options.Json = False,
) -> None:
    """Draw the report of a run again, find that of a published version, or set two runs side by side."""
    terminal = Terminal.open(ctx, as_json=as_json)
    words = target or []
    if words[:1] == [COMPARE]:
        page = _compare(workspace, words[1:], output)
    elif len(words) > 1:
        raise UsageError(f"one run or version at a time, found {' '.join(words)}; or: report compare RUN RUN")
    else:
        page = _run_report(workspace, *words) or _version_report(workspace, registry, name, words[0])
    terminal.result({"report": str(page)}, str(page))
    if show and not webbrowser.open(page.resolve().as_uri()):
        terminal.warn(f"no browser could be started; open {page} yourself")


def _run_report(workspace: Path, run_id: str | None = None) -> Path | None:
    """Draw the report of a run; None where the word names no run."""
    from mnist_pipeline.runs import Run
    from mnist_pipeline.steps import draw_report
    from mnist_pipeline.workspace import Workspace

    found = Workspace(workspace.resolve())
    if run_id and not found.run(run_id).journal.is_file():
        return None
    return draw_report(Run.open(found, run_id)).html


def _version_report(workspace: Path, registry: str | None, name: str | None, reference: str) -> Path:
    store = find_registry(workspace, registry)
    if not store.models():
        raise UsageError(f"{reference!r} is neither a run nor a version in {workspace}")
    return store.resolve(pick_model(store, name), reference).directory / REPORT_HTML


def _compare(workspace: Path, run_ids: list[str], output: Path | None) -> Path:
    from mnist_pipeline.reporting.files import write_comparison
    from mnist_pipeline.runs import Run
    from mnist_pipeline.steps import dataset_folder
    from mnist_pipeline.workspace import Workspace

    if len(run_ids) != 2:
        raise UsageError(f"compare takes two runs, found {len(run_ids)}; see: mnist-pipeline runs list")
    found = Workspace(workspace.resolve())
    a, b = (Run.open(found, run_id) for run_id in run_ids)
    page = output or Path(f"compare-{run_ids[0]}-{run_ids[1]}.html")
    return write_comparison(a.directory, b.directory, page, (dataset_folder(a), dataset_folder(b)))
