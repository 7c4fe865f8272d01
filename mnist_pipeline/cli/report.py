"""Reports of runs and versions."""

from pathlib import Path
from typing import Annotated

import typer

from mnist_pipeline.cli.options import RegistryOptions
from mnist_pipeline.cli.terminal import Terminal
from mnist_pipeline.errors import PipelineError, UsageError
from mnist_pipeline.workspace import REPORT_HTML, Workspace


def report(
    terminal: Terminal,
    *,
    target: Annotated[str | None, typer.Argument(metavar="[RUN|VERSION]", help="By default the latest run.")] = None,
    where: RegistryOptions,
    show: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    compare: Annotated[
        str | None, typer.Option("--compare", metavar="RUN", help="Set this run beside the other one.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Page that --compare writes; by default compare-RUN-RUN.html."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing page of --compare.")] = False,
) -> None:
    """Draw the report of a run again, find that of a published version, or set two runs side by side."""
    if compare is not None:
        page = _comparison(where.workspace, target, compare, output, overwrite)
    elif output is not None or overwrite:
        raise UsageError("--output and --overwrite are for --compare RUN; the report of one run lies in its folder")
    else:
        page = _run_report(where.workspace, target) or _version_report(where, target or "")
    terminal.result({"report": str(page)}, str(page))
    if show:
        terminal.browse(page.resolve().as_uri(), str(page))


def _run_report(workspace: Path, run_id: str | None) -> Path | None:
    """Draw the report of a run; None where the word names no run."""
    from mnist_pipeline.reporting.files import draw_report
    from mnist_pipeline.runs.run import Run

    found = Workspace(workspace.resolve())
    if run_id and not found.run(run_id).record.is_file():
        return None
    return draw_report(Run.open(found, run_id))


def _version_report(where: RegistryOptions, reference: str) -> Path:
    from mnist_pipeline.registry.lookup import pick_model

    store = where.open()
    if not store.models():
        raise UsageError(f"{reference!r} is neither a run nor a version in {where.workspace}")
    return store.resolve(pick_model(store, where.name), reference).directory / REPORT_HTML


def _comparison(workspace: Path, run_id: str | None, other_id: str, output: Path | None, overwrite: bool) -> Path:
    """Write the page that sets two runs side by side."""
    from mnist_pipeline.files.writing import Destination, Inputs, check_destinations, require_folders
    from mnist_pipeline.reporting.files import dataset_folder, write_comparison
    from mnist_pipeline.runs.run import Run

    found = Workspace(workspace.resolve())
    runs = Run.open(found, run_id), Run.open(found, other_id)
    a, b = (run.directory for run in runs)
    page = output or Path(f"compare-{a.id}-{b.id}.html")
    read = Inputs(folders={one.path: "a file of the run" for one in (a, b)}, sealed=[found.models])
    check_destinations([Destination("--output", page.absolute())], read, "anything" if overwrite else "nothing")
    require_folders([page.absolute()])
    datasets = dataset_folder(runs[0]), dataset_folder(runs[1])
    try:
        return write_comparison(a, b, page, datasets)
    except OSError as error:
        raise PipelineError(f"--output {page} cannot be written: {error.strerror}") from None
