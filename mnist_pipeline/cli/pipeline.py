"""The pipeline in single steps."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnist_pipeline.cli import options
from mnist_pipeline.cli.configure import ConfigOptions
from mnist_pipeline.cli.presets import show_presets
from mnist_pipeline.cli.runs import RunOptions, show_summary
from mnist_pipeline.cli.tables import Table
from mnist_pipeline.cli.terminal import Terminal
from mnist_pipeline.cli.watching import watching
from mnist_pipeline.runs.wording import plain_percent
from mnist_pipeline.workspace import Workspace

if TYPE_CHECKING:
    from mnist_pipeline.config import PipelineConfig
    from mnist_pipeline.runs.run import Run


def fetch(
    terminal: Terminal,
    *,
    workspace: options.Workspace = options.WORKSPACE,
    said: Annotated[ConfigOptions, "dataset source"],
) -> None:
    """Download, verify and decode the dataset into the workspace."""
    from mnist_pipeline.data.fetch import fetch_dataset

    config = said.config()
    with terminal.progress() as report_progress:
        found = fetch_dataset(config.fetch, Workspace(workspace.resolve()), report_progress)
    terminal.result(
        found.model_dump(mode="json"),
        f"{found.name} {found.digest[:12]}: {found.train_rows:,} train and {found.test_rows:,} test rows",
        f"{found.directory}",
    )


def train(
    terminal: Terminal,
    *,
    list_presets: Annotated[bool, typer.Option("--list-presets", help="Show the named trainings and exit.")] = False,
    workspace: options.Workspace = options.WORKSPACE,
    said: Annotated[
        ConfigOptions,
        "preset dataset source device seed epochs batch_size learning_rate extra_images max_minutes assignments file",
    ],
    fresh: options.Fresh = False,
    watch: options.Watch = False,
) -> None:
    """Start a run: fetch the dataset and train the Keras model."""
    if list_presets:
        show_presets(terminal)
        return
    from mnist_pipeline.doctor import check_first

    config = said.config()
    check_first(config)
    with watching(terminal, workspace, wanted=watch):
        _train(terminal, config, workspace.resolve(), fresh=fresh)


def _train(terminal: Terminal, config: "PipelineConfig", workspace: Path, *, fresh: bool) -> None:
    from mnist_pipeline import steps
    from mnist_pipeline.files import read_json
    from mnist_pipeline.runs.training_history import TrainingHistory
    from mnist_pipeline.training.summary import COLUMNS, rows_of, total_of

    with (
        terminal.progress() as report_progress,
        steps.started(config, workspace, fresh=fresh, report_progress=report_progress) as run,
    ):
        data = steps.fetch(config.fetch, run)
        labelled = steps.has_own_images(config.fetch, run)
        extra = steps.collect(config.fetch, data, run) if labelled else None
        trained = steps.train(config.training, data, run, extra=extra)
        steps.novelty(data, run)
        run.finish("finished")
    history = TrainingHistory.model_validate(read_json(run.directory.history))
    accuracy = "not measured" if trained.validation_accuracy is None else plain_percent(trained.validation_accuracy)
    terminal.result(
        {"run_id": run.directory.id} | trained.model_dump(mode="json"),
        total_of(history.layers),
        *(f"note: {note}" for note in history.notes),
        f"run {run.directory.id}: preset {trained.preset}, trained on {trained.device}",
        f"validation accuracy {accuracy}, kept {history.kept} of {trained.epochs}",
        f"{run.directory.model_keras}",
        table=Table(COLUMNS, rows_of(history.layers)),
    )


def export(terminal: Terminal, which: RunOptions) -> None:
    """Export a run's Keras model to ONNX, and prove that both say the same."""
    from mnist_pipeline import steps
    from mnist_pipeline.files.writing import writing
    from mnist_pipeline.runs.artifacts import FetchedDataset, NoveltyModel, TrainedModel

    run = which.open()
    config = _config_of(run)
    dataset, trained, novel = run.output(FetchedDataset), run.output(TrainedModel), run.output(NoveltyModel)
    with writing(run.workspace.root):
        exported = steps.export(config.export, dataset, trained, novel, run)
    terminal.result(
        {"run_id": run.directory.id} | exported.model_dump(mode="json"),
        f"run {run.directory.id}: largest difference to Keras {exported.max_abs_difference:.1e}",
        f"{run.directory.model_onnx}",
    )


def evaluate(terminal: Terminal, which: RunOptions) -> None:
    """Measure a run's ONNX model on every test image; the model's history has an entry of it."""
    from mnist_pipeline import steps
    from mnist_pipeline.files.writing import writing
    from mnist_pipeline.runs.artifacts import ExportedModel, ExtraImages, FetchedDataset

    run = which.open()
    config = _config_of(run)
    dataset, exported = run.output(FetchedDataset), run.output(ExportedModel)
    with writing(run.workspace.root), terminal.progress() as report_progress:
        extra = run.output(ExtraImages) if run.peek(ExtraImages) else None
        evaluated = steps.evaluate(
            config.evaluation, dataset, exported, replace(run, report_progress=report_progress), extra=extra
        )
        steps.record(config.publishing, dataset, exported, evaluated, run)
    terminal.result(
        {"run_id": run.directory.id} | evaluated.model_dump(mode="json"),
        f"run {run.directory.id}: accuracy {plain_percent(evaluated.accuracy)} on {evaluated.samples:,} test images",
        f"{evaluated.provider}; {run.directory.evaluation_json}",
    )


def publish(
    terminal: Terminal,
    which: Annotated[RunOptions, "run_id workspace"],
    said: Annotated[ConfigOptions, "registry sign_key"],
) -> None:
    """Publish a run's model as a version; it becomes champion if the gate lets it."""
    from mnist_pipeline import steps
    from mnist_pipeline.files.writing import writing
    from mnist_pipeline.runs.artifacts import EvaluatedModel, ExportedModel, FetchedDataset, TrainedModel

    run = which.open()
    config = _config_of(run, publishing=said.publishing)
    dataset, trained = run.output(FetchedDataset), run.output(TrainedModel)
    exported, evaluated = run.output(ExportedModel), run.output(EvaluatedModel)
    with writing(run.workspace.root):
        summary = steps.publish(config.publishing, dataset, trained, exported, evaluated, run)
    show_summary(terminal, summary)


def _config_of(run: "Run", **changes: Any) -> "PipelineConfig":
    """What a run was started with, and the changes; what only an older version knew is left out."""
    from mnist_pipeline.config import PipelineConfig, parse_config
    from mnist_pipeline.files import read_json

    return parse_config(PipelineConfig, read_json(run.directory.config), changes, unknown="ignore")
