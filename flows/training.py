"""The training pipeline as Prefect flows: fetch -> train -> export -> evaluate -> gate and publish."""

import logging
from contextlib import AbstractContextManager
from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows import artifacts, tasks
from flows.late_runs import cancel_missed_runs
from flows.notification import notify
from flows.progress import listener
from mnist_pipeline import steps
from mnist_pipeline.config import (
    EvaluateConfig,
    ExportConfig,
    FetchConfig,
    PipelineConfig,
    PublishConfig,
    TrainConfig,
)
from mnist_pipeline.doctor import check_first
from mnist_pipeline.runs.artifacts import ExtraImages, FetchedDataset
from mnist_pipeline.runs.record import Summary
from mnist_pipeline.runs.run import Run

DEFAULT = PipelineConfig()


@flow(name="run-all", persist_result=False, on_completion=[notify], on_failure=[notify])
def run_all(
    workspace: Path,
    fetch: FetchConfig = DEFAULT.fetch,
    training: TrainConfig = DEFAULT.training,
    export: ExportConfig = DEFAULT.export,
    evaluation: EvaluateConfig = DEFAULT.evaluation,
    publishing: PublishConfig = DEFAULT.publishing,
    fresh: bool = False,
) -> State[Summary]:
    """From the sprite to a published version.

    Args:
        workspace: Folder of datasets, runs and models; absolute, and the same for every worker.
        fetch: The dataset.
        training: The training; what is not given is as in its preset.
        export: The ONNX file.
        evaluation: The measurement.
        publishing: Gate and registry.
        fresh: Do every step again, reuse nothing.
    """
    config = PipelineConfig(fetch=fetch, training=training, export=export, evaluation=evaluation, publishing=publishing)
    with _started(config, workspace, fresh=fresh) as run:
        dataset, extra = _obtain(config, run)
        return _ended(_make(config, dataset, extra, run))


@flow(name="retrain", persist_result=False, on_completion=[notify], on_failure=[notify])
def retrain(
    workspace: Path,
    fetch: FetchConfig = DEFAULT.fetch,
    training: TrainConfig = DEFAULT.training,
    export: ExportConfig = DEFAULT.export,
    evaluation: EvaluateConfig = DEFAULT.evaluation,
    publishing: PublishConfig = DEFAULT.publishing,
    force: bool = False,
) -> State[Summary]:
    """As run-all, where something changed: the data, the config, the code or its packages.

    Args:
        workspace: Folder of datasets, runs and models; absolute, and the same for every worker.
        fetch: The dataset.
        training: The training; what is not given is as in its preset.
        export: The ONNX file.
        evaluation: The measurement.
        publishing: Gate and registry.
        force: Train again, every step, even where nothing changed since the champion was made.
    """
    cancel_missed_runs()
    config = PipelineConfig(fetch=fetch, training=training, export=export, evaluation=evaluation, publishing=publishing)
    with _started(config, workspace, fresh=force) as run:
        dataset, extra = _obtain(config, run)
        unchanged = None if force else steps.find_unchanged(config.publishing, dataset, extra, run)
        # The run's own configuration stays as it was given: what would be made again is told by that.
        judged = config.model_copy(update={"publishing": config.publishing.for_retraining()})
        return _ended(unchanged or _make(judged, dataset, extra, run))


def _started(config: PipelineConfig, workspace: Path, *, fresh: bool) -> AbstractContextManager[Run]:
    logging.getLogger("mnist_pipeline").setLevel(logging.INFO)  # Prefect ships what its extra loggers let through
    check_first(config)
    return steps.started(config, workspace, fresh=fresh, report_progress=listener())


def _obtain(config: PipelineConfig, run: Run) -> tuple[FetchedDataset, ExtraImages | None]:
    dataset = tasks.fetch(config.fetch, run).result()
    labelled = steps.has_own_images(config.fetch, run)
    return dataset, tasks.collect(config.fetch, dataset, run).result() if labelled else None


def _make(config: PipelineConfig, dataset: FetchedDataset, extra: ExtraImages | None, run: Run) -> Summary:
    """A candidate, judged and published."""
    trained = tasks.train(config.training, dataset, artifacts.showing_training(run), extra=extra).result()
    novel = tasks.novelty(dataset, run).result()
    exported = tasks.export(config.export, dataset, trained, novel, run).result()
    evaluated = tasks.evaluate(config.evaluation, dataset, exported, run, extra=extra).result()
    summary = tasks.publish(config.publishing, dataset, trained, exported, evaluated, run).result()
    artifacts.show_run(run.directory, summary)
    return summary


def _ended(summary: Summary) -> State[Summary]:
    """The flow's final state; its message is what the Prefect UI lists and what notifications tell."""
    return Completed(data=summary, message=summary.sentence)
