"""The pipeline on one page: fetch, collect, train, novelty, export, evaluate, publish.

Each step takes a frozen config, the handles of what it reads and the run that it belongs to, which
is told how far it is; and returns a frozen handle. No step knows the next one. A step whose config,
inputs, code and packages are those of an earlier run is not done again (`runs.Run.once`). What is to be
said of a candidate depends on today's champion besides: the last step judges anew where that, or
anything else of it, changed (`publishing`).
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mnist_pipeline.config import (
    EvaluateConfig,
    ExportConfig,
    FetchConfig,
    PipelineConfig,
    PublishConfig,
    TrainConfig,
)
from mnist_pipeline.data.fetch import fetch_dataset
from mnist_pipeline.errors import DataError
from mnist_pipeline.evaluation.evaluate import evaluate_model
from mnist_pipeline.export import export_model
from mnist_pipeline.files.writing import writing
from mnist_pipeline.inference import gpu_problem
from mnist_pipeline.labels.collect import collect_own_images
from mnist_pipeline.labels.sources import find_images
from mnist_pipeline.labels.store import open_labels
from mnist_pipeline.progress import ReportProgress, no_progress
from mnist_pipeline.publishing.lineage import find_judged
from mnist_pipeline.publishing.publish import Candidate, open_registry_of, publish_model
from mnist_pipeline.publishing.summary import end_judged, end_unchanged
from mnist_pipeline.registry import Measurement, current_user
from mnist_pipeline.runs.artifacts import (
    EvaluatedModel,
    ExportedModel,
    ExtraImages,
    FetchedDataset,
    NoveltyModel,
    TrainedModel,
)
from mnist_pipeline.runs.fingerprint import ONNXRUNTIME, Sources
from mnist_pipeline.runs.record import Summary
from mnist_pipeline.runs.run import Run
from mnist_pipeline.runs.training_lock import only_training
from mnist_pipeline.schema import Config
from mnist_pipeline.training.checkpoint import checkpoint_folder
from mnist_pipeline.training.fit import train_model
from mnist_pipeline.training.novelty import train_novelty
from mnist_pipeline.workspace import Workspace

# What each step's files depend on, besides its config and its inputs.
TRAINING = Sources(
    ("data", "imaging", "keras_backend.py", "rejection", "training"),
    ("tensorflow", "keras", "numpy", "opencv-python-headless", "Hershey-Fonts"),
)
NOVELTY = TRAINING
EXPORT = Sources(
    ("data", "export", "inference", "keras_backend.py", "rejection"),
    ("tensorflow", "keras", "tf2onnx", "onnx", "numpy", *ONNXRUNTIME),
)
EVALUATION = Sources(
    ("data", "evaluation", "imaging", "inference", "rejection", "scoring"),
    ("onnx", "numpy", "opencv-python-headless", *ONNXRUNTIME),
)


@contextmanager
def started(
    config: PipelineConfig, workspace: Path, *, fresh: bool = False, report_progress: ReportProgress = no_progress
) -> Iterator[Run]:
    """A new run, the only training in its workspace; its record tells how the block ended.

    Raises:
        PipelineError: another training runs, or the workspace cannot be written.
    """
    place = Workspace(workspace)
    with writing(workspace), only_training(place):
        run = Run.start(place, config, fresh=fresh, report_progress=report_progress)
        with run.ending():
            yield run


def fetch(config: FetchConfig, run: Run) -> FetchedDataset:
    """Download, verify and decode the dataset; a verified copy in the workspace is used as it is."""
    started = time.perf_counter()
    dataset = fetch_dataset(config, run.workspace, run.report_progress)
    run.note(dataset.digest, dataset, time.perf_counter() - started, "cache" if dataset.reused else None)
    return dataset


def has_own_images(config: FetchConfig, run: Run) -> bool:
    """Whether there may be own labelled images."""
    return bool(config.labels or config.extra_images) or run.workspace.labels.is_dir()


def collect(config: FetchConfig, dataset: FetchedDataset, run: Run) -> ExtraImages | None:
    """Own labelled images: those to be fitted besides the train rows, and those to be measured; None without any."""
    started = time.perf_counter()
    place = config.labels or run.workspace.labels
    labels = open_labels(place)
    if config.extra_images:
        added = labels.add(find_images(config.extra_images), by=current_user())
        if added.left_out and not (added.added or added.answered or added.known):
            raise DataError(f"{config.extra_images}: no file is an image; {added.problems[0]}")
    extra = collect_own_images(labels, str(place), dataset, run.workspace, run.report_progress)
    if extra:
        run.note(extra.digest, extra, time.perf_counter() - started, None)
    return extra


def train(config: TrainConfig, dataset: FetchedDataset, run: Run, *, extra: ExtraImages | None = None) -> TrainedModel:
    """Fit the Keras model on the train rows; an interrupted training goes on from its last epoch."""

    def work(key: str) -> TrainedModel:
        with checkpoint_folder(run.workspace.checkpoints, key) as checkpoints:
            return train_model(config, dataset, run.directory, checkpoints, run.report_progress, extra=extra)

    extra = extra if extra and extra.images else None
    inputs = [dataset, extra] if extra else [dataset]
    return run.once(TrainedModel, config=config, inputs=inputs, sources=TRAINING, work=work)


def novelty(dataset: FetchedDataset, run: Run) -> NoveltyModel:
    """Fit the network that knows what is no digit. It depends on the dataset alone: one serves every preset."""

    def work(key: str) -> NoveltyModel:
        with checkpoint_folder(run.workspace.checkpoints, key) as checkpoints:
            return train_novelty(dataset, run.directory, checkpoints, run.report_progress)

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
    *,
    extra: ExtraImages | None = None,
) -> EvaluatedModel:
    """Measure the ONNX model on every test row and every own-test image, on the device that is there now."""

    def work(_: str) -> EvaluatedModel:
        own_test = extra.own_test_archive if extra else None
        return evaluate_model(config, dataset, exported, run.directory, run.report_progress, own_test=own_test)

    device = "cpu" if config.device == "cpu" or gpu_problem() else "gpu"
    return run.once(
        EvaluatedModel,
        config=config,
        inputs=[dataset, exported],
        sources=EVALUATION,
        work=work,
        circumstances={
            "device": device,
            "fallback": dataset.fallback,
            **({"own_test": extra.own_test_digest} if extra and extra.own_test_digest else {}),
        },
    )


def record(
    config: PublishConfig, dataset: FetchedDataset, exported: ExportedModel, evaluated: EvaluatedModel, run: Run
) -> None:
    """Enter the measurement into the model's history: who looks at the test rows and does not publish compares too."""
    measured = Measurement(
        accuracy=evaluated.accuracy, samples=evaluated.samples, dataset=dataset.name, run=run.directory.id
    )
    open_registry_of(config, run.workspace).record(config.model or dataset.name, exported.sha256, measured)


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
    return end_judged(release, dataset, evaluated.accuracy, time.perf_counter() - started, run)


def find_unchanged(
    config: PublishConfig, dataset: FetchedDataset, extra: ExtraImages | None, run: Run
) -> Summary | None:
    """End a run that has nothing to do, because what it would make was judged before; None where it has."""
    registry = open_registry_of(config, run.workspace)
    judged = find_judged(registry, config.model or dataset.name, dataset, extra, run)
    return end_unchanged(*judged, dataset, run) if judged else None
