"""The pipeline as a Prefect flow, in this process."""

from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnist_pipeline.cli import options
from mnist_pipeline.cli.options import WORKSPACE
from mnist_pipeline.cli.summary import REFUSED, show_summary
from mnist_pipeline.cli.terminal import Terminal

if TYPE_CHECKING:
    from flows.connection import Connection
    from mnist_pipeline.config import PipelineConfig


def run_all(
    ctx: typer.Context,
    workspace: options.Workspace = WORKSPACE,
    preset: options.Preset = None,
    dataset: options.Dataset = None,
    source: options.Source = None,
    device: options.Device = None,
    seed: options.Seed = None,
    epochs: options.Epochs = None,
    batch_size: options.BatchSize = None,
    learning_rate: options.LearningRate = None,
    extra_images: options.ExtraImages = None,
    max_minutes: options.MaxMinutes = None,
    assignments: options.Set = None,
    file: options.ConfigFile = None,
    registry: options.Registry = None,
    sign_key: options.SignKey = None,
    fresh: options.Fresh = False,
    watch: options.Watch = False,
) -> None:
    """Fetch, train, export, evaluate and publish, as a Prefect flow.

    Finished steps of earlier runs are reused where nothing that they depend on changed.
    Where no Prefect server is configured, a local one runs as long as the command.
    """
    terminal: Terminal = ctx.obj
    from mnist_pipeline.cli.configure import configure
    from mnist_pipeline.cli.watching import watching

    config = configure(
        file=file,
        assignments=assignments,
        dataset=dataset,
        source=source,
        extra_images=extra_images,
        device=device,
        training={
            "preset": preset,
            "epochs": epochs,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "max_minutes": max_minutes,
            "seed": seed,
        },
        publishing={"registry": registry, "sign_key": sign_key},
    )
    with watching(terminal, workspace, registry, wanted=watch):
        _run(terminal, "run_all", config, workspace, fresh=fresh)


def retrain(
    ctx: typer.Context,
    workspace: options.Workspace = WORKSPACE,
    preset: options.Preset = None,
    dataset: options.Dataset = None,
    source: options.Source = None,
    device: options.Device = None,
    extra_images: options.ExtraImages = None,
    assignments: options.Set = None,
    file: options.ConfigFile = None,
    registry: options.Registry = None,
    sign_key: options.SignKey = None,
    force: Annotated[bool, typer.Option("--force", help="Train again even where nothing changed.")] = False,
) -> None:
    """Train again if the data, the config, the code or its packages changed since the champion was made.

    Ends as promoted, refused (exit code 3), unchanged or failed. What the schedule of `deploy` runs.
    """
    terminal: Terminal = ctx.obj
    from mnist_pipeline.cli.configure import configure

    config = configure(
        file=file,
        assignments=assignments,
        dataset=dataset,
        source=source,
        extra_images=extra_images,
        device=device,
        training={"preset": preset},
        publishing={"registry": registry, "sign_key": sign_key},
        fall_back=False,
    )
    _run(terminal, "retrain", config, workspace, force=force)


def _run(terminal: Terminal, flow: str, config: "PipelineConfig", workspace: Path, **options: bool) -> None:
    """Run one of `flows.training`'s flows and tell how it ended."""
    training = load_flows("training", f"mnist-pipeline {flow.replace('_', '-')}")
    from flows.listener import listening

    with terminal.progress() as report_progress, listening(report_progress):
        summary: Any = getattr(training, flow)(workspace.resolve(), **dict(config), **options)
    show_summary(terminal, summary)
    if summary.status == "refused":
        raise typer.Exit(REFUSED)


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
