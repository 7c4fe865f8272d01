"""The pipeline on one page: fetch, train, export, evaluate, publish.

Each step takes a frozen config, the handles of what it reads and the run that it belongs to,
and returns a frozen handle. No step knows the next one. A step whose config, inputs, code and
packages are those of an earlier run is not done again (`runs.Run.once`); but for the last one:
what is to be said of a candidate depends on today's champion, so every run judges its own (`publishing`).
"""

import logging
import shutil
import time
from pathlib import Path

from mnist_pipeline.config import (
    Config,
    EvaluateConfig,
    ExportConfig,
    FetchConfig,
    PipelineConfig,
    PublishConfig,
    TrainConfig,
)
from mnist_pipeline.data.fetch import fetch_dataset
from mnist_pipeline.errors import DeviceError, PipelineError, UsageError
from mnist_pipeline.evaluation.evaluate import evaluate_model
from mnist_pipeline.export import export_model
from mnist_pipeline.files.writing import check_writable, refusal
from mnist_pipeline.inference import gpu_problem
from mnist_pipeline.labels.extra_images import collect_extra_images
from mnist_pipeline.progress import ReportProgress, no_progress
from mnist_pipeline.publishing.publish import Candidate, publish_model, unchanged_champion
from mnist_pipeline.registry import PublishedVersion
from mnist_pipeline.registry.signing import load_private_key
from mnist_pipeline.reporting.files import Report, write_report
from mnist_pipeline.runs.artifacts import (
    EvaluatedModel,
    ExportedModel,
    ExtraImages,
    FetchedDataset,
    NoveltyModel,
    PublishedModel,
    TrainedModel,
)
from mnist_pipeline.runs.fingerprint import ONNXRUNTIME, Sources
from mnist_pipeline.runs.run import Outcome, Run
from mnist_pipeline.runs.summary import Summary
from mnist_pipeline.training.checkpoint import remove_abandoned
from mnist_pipeline.training.devices import require_device
from mnist_pipeline.training.fit import train_model
from mnist_pipeline.training.novelty import train_novelty
from mnist_pipeline.workspace import REPORT_HTML

logger = logging.getLogger(__name__)

# What each step's files depend on, besides its config and its inputs.
DATA = ("data", "mnist_form.py")
TRAINING = Sources((*DATA, "training"), ("tensorflow", "keras", "numpy"))
NOVELTY = Sources(
    (*DATA, "imaging", "rejection", "training"),
    ("tensorflow", "keras", "numpy", "opencv-python-headless", "Hershey-Fonts"),
)
EXPORT = Sources(
    (*DATA, "export", "inference", "rejection"), ("tensorflow", "keras", "tf2onnx", "onnx", "numpy", *ONNXRUNTIME)
)
EVALUATION = Sources((*DATA, "evaluation", "inference", "rejection"), ("onnx", "numpy", *ONNXRUNTIME))


def fetch(config: FetchConfig, run: Run, report_progress: ReportProgress = no_progress) -> FetchedDataset:
    """Download, verify and decode the dataset; a verified copy in the workspace is used as it is."""
    started = time.perf_counter()
    dataset = fetch_dataset(config, run.workspace, report_progress)
    run.note("fetch", dataset.digest, dataset, time.perf_counter() - started, "cache" if dataset.reused else None)
    return dataset


def collect(
    folder: Path, dataset: FetchedDataset, run: Run, report_progress: ReportProgress = no_progress
) -> ExtraImages:
    """Read the labelled images of a folder, to be fitted besides the train rows."""
    started = time.perf_counter()
    extra = collect_extra_images(folder, dataset, run.workspace, report_progress)
    run.note("collect", extra.digest, extra, time.perf_counter() - started, None)
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
        checkpoints = run.workspace.checkpoints / key
        remove_abandoned(run.workspace.checkpoints, wanted=checkpoints)
        trained = train_model(config, dataset, run.directory, checkpoints, report_progress, extra=extra)
        shutil.rmtree(checkpoints, ignore_errors=True)
        return trained

    inputs = [dataset, extra] if extra else [dataset]
    return run.once("train", TrainedModel, config=config, inputs=inputs, sources=TRAINING, work=work)


def novelty(dataset: FetchedDataset, run: Run, report_progress: ReportProgress = no_progress) -> NoveltyModel:
    """Fit the network that knows what is no digit. It depends on the dataset alone: one serves every preset."""

    def work(key: str) -> NoveltyModel:
        checkpoints = run.workspace.checkpoints / key
        found = train_novelty(dataset, run.directory, checkpoints, report_progress)
        shutil.rmtree(checkpoints, ignore_errors=True)
        return found

    return run.once("novelty", NoveltyModel, config=Config(), inputs=[dataset], sources=NOVELTY, work=work)


def export(
    config: ExportConfig, dataset: FetchedDataset, trained: TrainedModel, novel: NoveltyModel, run: Run
) -> ExportedModel:
    """Write both networks as one ONNX model, and prove that it says what the Keras models say."""

    def work(_: str) -> ExportedModel:
        return export_model(config, dataset, trained, novel, run.directory)

    inputs = [dataset, trained, novel]
    return run.once("export", ExportedModel, config=config, inputs=inputs, sources=EXPORT, work=work)


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
        "evaluate",
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
    publisher = release.version.manifest.lineage.run
    new = publisher == run.directory.id
    nothing_new = release.outcome == "unchanged" and run.record.steps["evaluate"].reused_from and not new
    origin = publisher if nothing_new else None
    run.note("publish", release.version.sha256, release.output, time.perf_counter() - started, origin)
    run.finish(release.outcome, "; ".join(release.verdict.reasons) or None)
    return _summarise(
        run,
        release.outcome,
        release.version,
        dataset,
        accuracy=evaluated.accuracy,
        champion=release.champion,
        report=release.version.directory / REPORT_HTML if new else release.report.html,
        reasons=release.verdict.reasons,
    )


def find_unchanged(
    config: PublishConfig, dataset: FetchedDataset, extra: ExtraImages | None, run: Run
) -> Summary | None:
    """End a run that has nothing to do, because its champion would be trained again; None where it has."""
    champion = unchanged_champion(config, dataset, extra, run)
    if champion is None:
        return None
    run.finish("unchanged")
    return _summarise(
        run,
        "unchanged",
        champion,
        dataset,
        accuracy=champion.manifest.metrics.accuracy,
        champion=champion.version,
        report=champion.directory / REPORT_HTML,
        reasons=[],
    )


def _summarise(
    run: Run,
    outcome: Outcome,
    version: PublishedVersion,
    dataset: FetchedDataset,
    *,
    accuracy: float,
    champion: str | None,
    report: Path,
    reasons: list[str],
) -> Summary:
    """The summary of a run that has ended."""
    record = run.record
    return Summary(
        run_id=record.run_id,
        status=outcome,
        model=version.model,
        version=version.version,
        promoted=outcome == "promoted",
        reasons=reasons,
        champion=champion,
        published_by=version.manifest.lineage.run,
        accuracy=accuracy,
        dataset=dataset.name,
        fallback=dataset.fallback,
        onnx=version.path,
        report=report,
        reused=record.reused,
        seconds={name: step.seconds for name, step in record.steps.items()},
    )


def check_first(config: PipelineConfig) -> None:
    """Before any work: the devices that are asked for by name, the signing key and the extra images can be used.

    Raises:
        DeviceError: a device does not work here.
        UsageError: the key cannot be used, or there is no folder of extra images.
    """
    if (extra := config.fetch.extra_images) and not extra.is_dir():
        raise UsageError(f"--extra-images {extra}: there is no such folder")
    if config.training.device == "gpu":
        require_device("gpu")
    if config.evaluation.device == "gpu" and (problem := gpu_problem()):
        raise DeviceError(f"--device gpu: onnxruntime cannot use CUDA here: {problem}; use --device auto or cpu")
    if config.publishing.sign_key:
        load_private_key(config.publishing.sign_key)


def fetched(run: Run) -> FetchedDataset:
    """The dataset of a run that fetched it; verified, like the others below."""
    return run.output("fetch", FetchedDataset)


def trained(run: Run) -> TrainedModel:
    return run.output("train", TrainedModel)


def novelty_trained(run: Run) -> NoveltyModel:
    return run.output("novelty", NoveltyModel)


def exported(run: Run) -> ExportedModel:
    return run.output("export", ExportedModel)


def evaluated(run: Run) -> EvaluatedModel:
    return run.output("evaluate", EvaluatedModel)


def draw_report(run: Run) -> Report:
    """Draw the report of an evaluated run again, from its files; without pictures where the dataset is gone.

    Where the workspace cannot be written, the report that is there stands.

    Raises:
        UsageError: the run has not been evaluated.
        PipelineError: the workspace cannot be written, and no report is there.
    """
    try:
        check_writable(run.directory.path)
    except OSError as error:
        return _drawn_report(run, error)
    published = run.peek("publish", PublishedModel)
    model, version = (published.model, published.version) if published else (None, None)
    report = write_report(run.directory, dataset_folder(run), model=model, version=version)
    if published:
        run.replace("publish", published.model_copy(update={"files": published.files | report.files}))
    return report


def _drawn_report(run: Run, error: OSError) -> Report:
    """The report as it was drawn, because it cannot be drawn again."""
    if not run.directory.report_html.is_file():
        raise refusal(error, run.workspace.root) from error
    logger.warning("this is the report as it was: %s cannot be written (%s)", run.directory.path, error.strerror)
    return Report(directory=run.directory.path, files=Report.digests(run.directory.report_html))


def dataset_folder(run: Run) -> Path | None:
    """The folder of the run's dataset; None where it is gone or damaged."""
    try:
        return fetched(run).directory
    except PipelineError:
        return None
