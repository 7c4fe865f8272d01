"""A whole job on this machine: a folder, a list or a prefix of images to one file of predictions."""

import os
import time
from pathlib import Path
from typing import BinaryIO

from mnist_pipeline import usable_cpus
from mnist_pipeline.progress import Progress, ReportProgress, no_progress
from mnist_pipeline.rejection.model import ScoringModel
from mnist_pipeline.scoring.config import ScoreConfig
from mnist_pipeline.scoring.engine import Count, RenderReport, finish, plan, score, up_to_date
from mnist_pipeline.scoring.job import ScoringJob
from mnist_pipeline.scoring.outputs import claim
from mnist_pipeline.scoring.sources.reading import Location
from mnist_pipeline.scoring.summary import ScoreSummary
from mnist_pipeline.scoring.workers.pool import Pool
from mnist_pipeline.scoring.workers.start import start_forkserver


def score_folder(
    config: ScoreConfig,
    folder: Path,
    output: Path,
    model: Path,
    model_sha256: str,
    report_progress: ReportProgress = no_progress,
) -> ScoreSummary:
    """Score every regular file below ``folder``; links are not followed, hidden names are passed over.

    Args:
        config: how.
        folder: holds the images, at any depth.
        output: .csv, .jsonl or .parquet; a manifest appears beside it.
        model: ONNX file.
        model_sha256: hex digest that it must have.
        report_progress: is told how far it is.

    Raises:
        UsageError: there is no such folder, or the output exists; before any work.
        PipelineError: the output's folder cannot be written, workers keep dying, the disk is full.
        IntegrityError: the model is not the one that was asked for, or not safe.
        DeviceError: ``gpu`` was asked for and does not work.
    """
    source = Location(kind="folder", root=os.path.realpath(folder))
    return score_job(ScoringJob.of(config, source, ScoringModel(model, model_sha256), output), None, report_progress)


def score_job(
    job: ScoringJob,
    names: BinaryIO | None = None,
    report_progress: ReportProgress = no_progress,
    render_report: RenderReport | None = None,
) -> ScoreSummary:
    """As `score_folder`, for any job.

    Args:
        job: what to do.
        names: where its source is a list: the paths, one a line or NUL-terminated.
        report_progress: is told how far it is.
        render_report: the page, where the job wants one.
    """
    start_forkserver()
    config = job.config
    with claim(job, names), Pool(job, config.workers or usable_cpus()) as pool:
        if not config.resume:
            pool.warm_up()
        planned = plan(job, names, report_progress)
        if config.resume and (done := up_to_date(job)):
            return done
        work = score(job, planned.shards, pool, _meter(planned.shards.images, report_progress))
        return finish(job, planned, work, pool, render_report=render_report)


def _meter(images: int, report_progress: ReportProgress) -> Count:
    """Counts images as they are scored, and tells."""
    done, started = 0, time.monotonic()

    def add(more: int) -> None:
        nonlocal done
        done += more
        rate = done / max(time.monotonic() - started, 1e-9)
        report_progress(Progress("score", done, images, "images", {"images/s": rate}))

    return add
