"""The pipeline as a Prefect flow, in this process."""

from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnist_pipeline.cli import options
from mnist_pipeline.cli.configure import ConfigOptions
from mnist_pipeline.cli.runs import show_summary
from mnist_pipeline.cli.terminal import Terminal
from mnist_pipeline.cli.watching import watching

if TYPE_CHECKING:
    from flows.connection import Connection
    from mnist_pipeline.config import PipelineConfig


def run_all(
    terminal: Terminal,
    *,
    workspace: options.Workspace = options.WORKSPACE,
    said: ConfigOptions,
    fresh: options.Fresh = False,
    watch: options.Watch = False,
) -> None:
    """Fetch, train, export, evaluate and publish, as a Prefect flow.

    Finished steps of earlier runs are reused where nothing that they depend on changed.
    Where no Prefect server is configured, a local one runs as long as the command.
    """
    config = said.config()
    with watching(terminal, workspace, said.registry, wanted=watch):
        _run(terminal, "run_all", config, workspace, fresh=fresh)


def retrain(
    terminal: Terminal,
    *,
    workspace: options.Workspace = options.WORKSPACE,
    said: Annotated[ConfigOptions, "preset dataset source device extra_images assignments file registry sign_key"],
    force: Annotated[bool, typer.Option("--force", help="Train again even where nothing changed.")] = False,
) -> None:
    """Train again if the data, the config, the code or its packages changed since the champion was made.

    Ends as promoted, refused (exit code 3), unchanged or failed. What the schedule of `deploy` runs.
    """
    _run(terminal, "retrain", said.config(fall_back=False), workspace, force=force)


def _run(terminal: Terminal, flow: str, config: "PipelineConfig", workspace: Path, **options: bool) -> None:
    """Run one of `flows.training`'s flows and tell how it ended."""
    training = load_flows("training", f"mnist-pipeline {flow.replace('_', '-')}")
    from flows.progress import listening

    with terminal.progress() as report_progress, listening(report_progress):
        summary: Any = getattr(training, flow)(workspace.resolve(), **dict(config), **options)
    show_summary(terminal, summary)


def load_flows(module: str, what: str, *, required: str | None = None) -> ModuleType:
    """A module of `flows`, with a Prefect server that answers: the configured one, or one of our own.

    Args:
        module: its name below ``flows``.
        what: the command, for the message where Prefect is missing.
        required: why a server that others have started is needed, and what to do; None where one that lives as long
            as this process would do.

    Raises:
        MissingExtraError: Prefect is not installed.
        UsageError: a setting cannot work; or a server is required, and none is configured.
        PipelineError: the server does not start, does not answer, or does not let us in.
    """
    import importlib

    connection = connect(what, required=required)
    found = importlib.import_module(f"flows.{module}")  # while a server of our own starts
    connection.wait()
    return found


def connect(what: str, *, required: str | None = None) -> "Connection":
    """As `load_flows`, before the module is imported and the server is awaited."""
    from flows.connection import Connection
    from mnist_pipeline.errors import MissingExtraError

    try:
        return Connection(required)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "prefect":
            raise MissingExtraError(what, "flows") from None
        raise
