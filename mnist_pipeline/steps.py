"""The pipeline on one page: fetch, collect, train, novelty, export, evaluate, publish.

Each step takes a frozen config, the handles of what it reads and the run that it belongs to,
and returns a frozen handle. No step knows the next one. A step whose config, inputs, code and
packages are those of an earlier run is not done again (`runs.Run.once`); but for the last one:
what is to be said of a candidate depends on today's champion, so every run judges its own (`publishing`).
"""

import time
from pathlib import Path

from mnist_pipeline.config import Config, EvaluateConfig, ExportConfig, FetchConfig, PublishConfig, TrainConfig
from mnist_pipeline.data.fetch import fetch_dataset
from mnist_pipeline.evaluation.evaluate import evaluate_model
from mnist_pipeline.export import export_model
from mnist_pipeline.inference import gpu_problem
from mnist_pipeline.labels.extra_images import collect_extra_images
from mnist_pipeline.progress import ReportProgress, no_progress
from mnist_pipeline.publishing.publish import Candidate, publish_model, unchanged_champion
from mnist_pipeline.publishing.summary import reused_from, summarise_release, summarise_unchanged
from mnist_pipeline.runs.artifacts import (
    EvaluatedModel,
    ExportedModel,
    ExtraImages,
    FetchedDataset,
    NoveltyModel,
    TrainedModel,
)
from mnist_pipeline.runs.fingerprint import ONNXRUNTIME, Sources
from mnist_pipeline.runs.run import Run
from mnist_pipeline.runs.summary import Summary
from mnist_pipeline.training.checkpoint import checkpoint_folder
from mnist_pipeline.training.fit import train_model
from mnist_pipeline.training.novelty import train_novelty

# What each step's files depend on, besides its config and its inputs.
TRAINING = Sources(
    ("data", "imaging", "rejection", "training"),
    ("tensorflow", "keras", "numpy", "opencv-python-headless", "Hershey-Fonts"),
)
NOVELTY = TRAINING
EXPORT = Sources(
    ("data", "export", "inference", "rejection"), ("tensorflow", "keras", "tf2onnx", "onnx", "numpy", *ONNXRUNTIME)
)
EVALUATION = Sources(("data", "evaluation", "inference", "rejection"), ("onnx", "numpy", *ONNXRUNTIME))


def fetch(config: FetchConfig, run: Run, report_progress: ReportProgress = no_progress) -> FetchedDataset:
    """Download, verify and decode the dataset; a verified copy in the workspace is used as it is."""
    started = time.perf_counter()
    dataset = fetch_dataset(config, run.workspace, report_progress)
    run.note(dataset.digest, dataset, time.perf_counter() - started, "cache" if dataset.reused else None)
    return dataset


def collect(
    folder: Path, dataset: FetchedDataset, run: Run, report_progress: ReportProgress = no_progress
) -> ExtraImages:
    """Read the labelled images of a folder, to be fitted besides the train rows."""
    started = time.perf_counter()
    extra = collect_extra_images(folder, dataset, run.workspace, report_progress)
    run.note(extra.digest, extra, time.perf_counter() - started, None)
    return extra


def train(
    config: TrainConfig,
    dataset: FetchedDataset,
    run: Run,
    report_progress: ReportProgress = no_progress,
    *,
    extra: ExtraImages | None = None,
) -> TrainedModel:
    """Fit the Keras model on the train rows; an interrupted training goes on from its last epoch."""

    def work(key: str) -> TrainedModel:
        with checkpoint_folder(run.workspace.checkpoints, key) as checkpoints:
            return train_model(config, dataset, run.directory, checkpoints, report_progress, extra=extra)

    inputs = [dataset, extra] if extra else [dataset]
    return run.once(TrainedModel, config=config, inputs=inputs, sources=TRAINING, work=work)


def novelty(dataset: FetchedDataset, run: Run, report_progress: ReportProgress = no_progress) -> NoveltyModel:
    """Fit the network that knows what is no digit. It depends on the dataset alone: one serves every preset."""

    def work(key: str) -> NoveltyModel:
        with checkpoint_folder(run.workspace.checkpoints, key) as checkpoints:
            return train_novelty(dataset, run.directory, checkpoints, report_progress)

    return run.once(NoveltyModel, config=Config(), inputs=[dataset], sources=NOVELTY, work=work)


def export(
    config: ExportConfig, dataset: FetchedDataset, trained: TrainedModel, novel: NoveltyModel, run: Run
) -> ExportedModel:
    """Write both networks as one ONNX model, and prove that it says what the Keras models say."""

    def work(_: str) -> ExportedModel:
        return export_model(config, dataset, trained, novel, run.directory)

    inputs = [dataset, trained, novel]
    return run.once(ExportedModel, config=config, inputs=inputs, sources=EXPORT, work=work)


def evaluate(
    config: EvaluateConfig,
    dataset: FetchedDataset,
    exported: ExportedModel,
    run: Run,
    report_progress: ReportProgress = no_progress,
) -> EvaluatedModel:
    """Measure the ONNX model on every test row, on the device that is there now."""

    def work(_: str) -> EvaluatedModel:
        return evaluate_model(config, dataset, exported, run.directory, report_progress)

    device = "cpu" if config.device == "cpu" or gpu_problem() else "gpu"
    return run.once(
        EvaluatedModel,
        config=config,
        inputs=[dataset, exported],
        sources=EVALUATION,
        work=work,
        circumstances={"device": device, "fallback": dataset.fallback},
    )


def publish(
    config: PublishConfig,
    dataset: FetchedDataset,
    trained: TrainedModel,
    exported: ExportedModel,
    evaluated: EvaluatedModel,
    run: Run,
) -> Summary:
    """Judge the candidate, publish it where it is new, promote it where the gate lets it; so the run ends."""
    started = time.perf_counter()
    release = publish_model(config, Candidate(dataset, trained, exported, evaluated), run)
    seconds = time.perf_counter() - started
    run.note(release.version.sha256, release.output, seconds, reused_from(release, run))
    run.finish(release.outcome, "; ".join(release.verdict.reasons) or None)
    return summarise_release(release, dataset, evaluated.accuracy, run)


def find_unchanged(
    config: PublishConfig, dataset: FetchedDataset, extra: ExtraImages | None, run: Run
) -> Summary | None:
    """End a run that has nothing to do, because its champion would be trained again; None where it has."""
    champion = unchanged_champion(config, dataset, extra, run)
    if champion is None:
        return None
    run.finish("unchanged")
    return summarise_unchanged(champion, dataset, run)
