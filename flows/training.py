"""The training pipeline as a Prefect flow: fetch -> train -> export -> evaluate -> gate and publish."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TypeVar

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows import artifacts
from mnist_pipeline import steps
from mnist_pipeline.config import (
    EvaluateConfig,
    ExportConfig,
    FetchConfig,
    PipelineConfig,
    PublishConfig,
    TrainConfig,
)
from mnist_pipeline.outputs import EvaluatedModel, ExportedModel, FetchedDataset, Output, PublishedModel, TrainedModel
from mnist_pipeline.progress import ReportProgress, no_progress
from mnist_pipeline.runs import Run
from mnist_pipeline.workspace import Workspace

OutputT = TypeVar("OutputT", bound=Output)
_listener: ContextVar[ReportProgress] = ContextVar("listener", default=no_progress)


@contextmanager
def listening(report_progress: ReportProgress) -> Iterator[None]:
    """Flows that run in the block, in this process, report their progress to the function."""
    token = _listener.set(report_progress)
    try:
        yield
    finally:
        _listener.reset(token)


# Reuse is the run journal's work (mnist_pipeline.runs): it verifies files by digest before it trusts
# them, and it survives the loss of Prefect's database. So Prefect neither caches nor stores results.
# Retries are the download's own (FetchConfig.attempts): nothing else here passes by itself.
step = task(cache_policy=NO_CACHE, persist_result=False)


@step
def fetch(config: FetchConfig, run: Run) -> State[FetchedDataset]:
    """Download, verify and decode the dataset."""
    return _finished(run, "fetch", steps.fetch(config, run, _listener.get()))


@step
def train(config: TrainConfig, dataset: FetchedDataset, run: Run) -> State[TrainedModel]:
    """Fit the Keras model."""
    progress = artifacts.TrainingProgress(run.directory.id, _listener.get())
    return _finished(run, "train", steps.train(config, dataset, run, progress))


@step
def export(config: ExportConfig, dataset: FetchedDataset, trained: TrainedModel, run: Run) -> State[ExportedModel]:
    """Write the ONNX model and prove it."""
    return _finished(run, "export", steps.export(config, dataset, trained, run))


@step
def evaluate(
    config: EvaluateConfig, dataset: FetchedDataset, exported: ExportedModel, run: Run
) -> State[EvaluatedModel]:
    """Measure the ONNX model on the test rows."""
    return _finished(run, "evaluate", steps.evaluate(config, dataset, exported, run, _listener.get()))


@step
def publish(
    config: PublishConfig,
    dataset: FetchedDataset,
    trained: TrainedModel,
    exported: ExportedModel,
    evaluated: EvaluatedModel,
    run: Run,
) -> State[PublishedModel]:
    """Judge the candidate, publish it, and promote it where the gate lets it."""
    published = steps.publish(config, dataset, trained, exported, evaluated, run)
    return _finished(run, "publish", published)


@flow(name="run-all", persist_result=False)
def run_all(config: PipelineConfig, workspace: Path, fresh: bool = False) -> steps.Summary:
    """From the sprite to a published version.

    Args:
        config: What each step does.
        workspace: Folder of datasets, runs and models.
        fresh: Do every step again, reuse nothing.
    """
    steps.check_first(config)
    run = Run.start(Workspace(workspace), config, fresh=fresh)
    with run.ending():
        dataset = fetch(config.fetch, run).result()
        trained = train(config.training, dataset, run).result()
        exported = export(config.export, dataset, trained, run).result()
        evaluated = evaluate(config.evaluation, dataset, exported, run).result()
        published = publish(config.publishing, dataset, trained, exported, evaluated, run).result()
        run.finish("promoted" if published.promoted else "refused")
    summary = steps.summarise(config.publishing, run)
    artifacts.show_run(run.directory, summary)
    return summary


def _finished(run: Run, step_name: str, output: OutputT) -> State[OutputT]:
    """The task's final state, which tells in the Prefect UI where a reused result came from."""
    origin = run.record.steps[step_name].reused_from
    if origin is None:
        return Completed(data=output)
    message = "a verified copy was there" if origin == "cache" else f"the work of run {origin}"
    return Completed(name="Reused", message=message, data=output)
