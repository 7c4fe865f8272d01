"""The steps of the training pipeline as Prefect tasks.

Reuse is the run record's work (`mnist_pipeline.runs`): it verifies files by digest before it trusts
them, and it survives the loss of Prefect's database. So Prefect neither caches nor stores results.
Retries are the download's own (`FetchConfig.attempts`): nothing else here passes by itself.
"""

from typing import TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows import artifacts
from flows.listener import listener
from mnist_pipeline import steps
from mnist_pipeline.config import EvaluateConfig, ExportConfig, FetchConfig, PublishConfig, TrainConfig
from mnist_pipeline.runs.artifacts import (
    EvaluatedModel,
    ExportedModel,
    ExtraImages,
    FetchedDataset,
    NoveltyModel,
    TrainedModel,
)
from mnist_pipeline.runs.run import Run
from mnist_pipeline.runs.summary import Summary

ResultT = TypeVar("ResultT")
step = task(cache_policy=NO_CACHE, persist_result=False)


@step
def fetch(config: FetchConfig, run: Run) -> State[FetchedDataset]:
    """Download, verify and decode the dataset."""
    return _finished(run, "fetch", steps.fetch(config, run, listener()))


@step
def collect(config: FetchConfig, dataset: FetchedDataset, run: Run) -> State[ExtraImages | None]:
    """Read the own labelled images: those that join the train rows, and those that are measured."""
    return Completed(data=steps.collect(config, dataset, run, listener()))


@step
def train(config: TrainConfig, dataset: FetchedDataset, extra: ExtraImages | None, run: Run) -> State[TrainedModel]:
    """Fit the Keras model."""
    progress = artifacts.TrainingProgress(run.directory.id, listener())
    return _finished(run, "train", steps.train(config, dataset, run, progress, extra=extra))


@step
def novelty(dataset: FetchedDataset, run: Run) -> State[NoveltyModel]:
    """Fit the network that knows what is no digit."""
    return _finished(run, "novelty", steps.novelty(dataset, run, listener()))


@step
def export(
    config: ExportConfig, dataset: FetchedDataset, trained: TrainedModel, novel: NoveltyModel, run: Run
) -> State[ExportedModel]:
    """Write both networks as one ONNX model and prove it."""
    return _finished(run, "export", steps.export(config, dataset, trained, novel, run))


@step
def evaluate(
    config: EvaluateConfig, dataset: FetchedDataset, exported: ExportedModel, extra: ExtraImages | None, run: Run
) -> State[EvaluatedModel]:
    """Measure the ONNX model on the test rows and the own-test images."""
    return _finished(run, "evaluate", steps.evaluate(config, dataset, exported, run, listener(), extra=extra))


@step
def publish(
    config: PublishConfig,
    dataset: FetchedDataset,
    trained: TrainedModel,
    exported: ExportedModel,
    evaluated: EvaluatedModel,
    run: Run,
) -> State[Summary]:
    """Judge the candidate, publish it where it is new, and promote it where the gate lets it."""
    return _finished(run, "publish", steps.publish(config, dataset, trained, exported, evaluated, run))


def _finished(run: Run, step_name: str, result: ResultT) -> State[ResultT]:
    """The task's final state, which tells in the Prefect UI where a reused result came from."""
    origin = run.record.steps[step_name].reused_from
    if origin is None:
        return Completed(data=result)
    message = "a verified copy was there" if origin == "cache" else f"the work of run {origin}"
    return Completed(name="Reused", message=message, data=result)
