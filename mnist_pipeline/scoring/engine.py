"""A scoring job in three steps, whoever takes them: the command, tasks in threads, or tasks on a cluster.

    plan(job)                    the names of all images, sorted and cut into shards, on disk
    score(job, shards, pool)     the rows of each shard, by worker processes
    finish(job, plan, work)      all rows, in order, to the output

All of it happens within `outputs.claim`. What is unfinished lies in a hidden folder beside the output. A job that
was killed leaves it there; the next job takes over the rows of every shard whose names, settings and images are
still the same. The folder goes once the output is there.
"""

import hashlib
import logging
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from mnist_pipeline.errors import DataError, IntegrityError, PipelineError
from mnist_pipeline.files import open_atomic, printable, read_json, sha256_file, write_json, write_text
from mnist_pipeline.progress import Progress, ReportProgress, no_progress
from mnist_pipeline.scoring.job import ScoringJob, preprocessing_version
from mnist_pipeline.scoring.outputs import is_report, tidy
from mnist_pipeline.scoring.results import ShardResults, is_current, read_results
from mnist_pipeline.scoring.shards import Shard, ShardRange, cut, read_shards
from mnist_pipeline.scoring.sources.listing import END, Skipped, image_names, read_names, sort_names
from mnist_pipeline.scoring.sources.reading import NOTHING, SIGNATURE, open_reader, size_of
from mnist_pipeline.scoring.statistics import Statistics
from mnist_pipeline.scoring.summary import ScoreSummary
from mnist_pipeline.scoring.workers.pool import Pool
from mnist_pipeline.scoring.writers import open_rows

logger = logging.getLogger(__name__)

RenderReport = Callable[[ScoreSummary, Statistics, list[dict[str, str]]], str]
"""The page of a finished job, with the pictures of the images that `Statistics.shown` names."""
Count = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a job is to do, once its images are listed. The names themselves are on disk.

    Attributes:
        shards: all of them.
        skipped: what was passed over.
        started: `time.monotonic` of the process that planned it.
    """

    shards: ShardRange
    skipped: Skipped
    started: float


@dataclass(frozen=True, slots=True)
class Work:
    """How shards were scored.

    Attributes:
        reused: images whose rows were there already.
        processes: those that scored any, each as HOST:PID.
    """

    reused: int = 0
    processes: frozenset[str] = frozenset()

    def __add__(self, other: "Work") -> "Work":
        return Work(self.reused + other.reused, self.processes | other.processes)


def plan(job: ScoringJob, names: BinaryIO | None = None, report_progress: ReportProgress = no_progress) -> Plan:
    """List the images.

    Args:
        job: whose.
        names: where its source is a list: the paths, one a line or NUL-terminated.
        report_progress: is told how many there are.

    Raises:
        UsageError: the source is no folder that can be read; or a list names what the job writes.
    """

    def tell(count: int) -> None:
        report_progress(Progress("list images", count, None, "images"))

    started, skipped = time.monotonic(), Skipped()
    job.outputs.results.mkdir(parents=True, exist_ok=True)
    found = sort_names(image_names(job, names, skipped), job.outputs.work, tell)
    shards = cut(found, job, size_of(job.source))
    found.close()
    return Plan(shards, skipped, started)


def up_to_date(job: ScoringJob, *, keep: bool = False) -> ScoreSummary | None:
    """The manifest of the job's outputs, where they are what it would make of the images that it lists; else None.

    Args:
        job: whose images are listed.
        keep: where there is nothing to do, leave the rows of the shards.
    """
    outputs = job.outputs
    try:
        summary = ScoreSummary.model_validate(read_json(outputs.manifest))
        if sha256_file(outputs.output) != summary.output_sha256:
            return None
    except (OSError, IntegrityError, ValidationError):
        return None
    if outputs.report is not None and not is_report(outputs.report, of=summary.output_sha256):
        return None
    stored = summary.model_dump(mode="json")
    if any(stored[name] != value for name, value in job.recipe.items()) or not _same_images(job, summary):
        return None
    logger.info("%s is complete and up to date", printable(outputs.output))
    tidy(outputs, (path.name for path in outputs.results.iterdir()) if keep else None)
    return summary


def _same_images(job: ScoringJob, summary: ScoreSummary) -> bool:
    reader = open_reader(job.source, job.max_bytes)
    listing, signatures = hashlib.sha256(), hashlib.sha256()
    with job.outputs.listing.open("rb") as file:
        for name in read_names(file):
            listing.update(name + END)
            signatures.update(SIGNATURE.pack(*(reader.signature(name) or NOTHING)))
    return (listing.hexdigest(), signatures.hexdigest()) == (summary.listing_sha256, summary.signatures_sha256)


def score(job: ScoringJob, shards: ShardRange, pool: Pool, count: Count = lambda _: None) -> Work:
    """Store the rows of the shards. Rows that are there already, and still true, are not made again.

    Args:
        job: whose.
        shards: of its plan; a machine that sees the same files under the same paths can score them.
        pool: does it.
        count: is told of images as they are done, and of none now and then; what it raises ends the work.

    Raises:
        PipelineError: workers keep dying, the disk is full; or this machine does not see what the job names, or
            would preprocess in another way.
        IntegrityError: the model is not the one that was asked for, or not safe.
        DeviceError: ``gpu`` was asked for and does not work.
    """
    _check_machine(job)
    reader = open_reader(job.source, job.max_bytes)
    reused = 0

    def missing() -> Iterator[Shard]:
        nonlocal reused
        for shard in read_shards(job.outputs, shards):
            results = read_results(job.outputs.results_of(shard), shard.images)
            if results is not None and is_current(results, reader):
                reused += shard.images
                count(shard.images)
            else:
                yield shard

    for shard in pool.score(missing()):
        count(0 if shard is None else shard.images)
    return Work(reused=reused, processes=frozenset(pool.worked))


def finish(
    job: ScoringJob,
    plan: Plan,
    work: Work,
    pool: Pool,
    *,
    render_report: RenderReport | None = None,
    keep: bool = False,
) -> ScoreSummary:
    """The output, the report and the manifest from the rows of all shards.

    Args:
        job: whose shards are all scored.
        plan: of the job.
        work: how they were scored, for the manifest.
        pool: takes the pictures of the report.
        render_report: the page, where the job wants one.
        keep: leave the rows of the shards for the next job on the same output.

    Raises:
        DataError: the rows of a shard are missing.
    """
    outputs, statistics = job.outputs, Statistics(job.threshold)
    with (
        open_atomic(outputs.output) as file,
        open_rows(outputs.output.suffix, file, probabilities=job.config.probabilities) as write,
    ):
        for shard in read_shards(outputs, plan.shards):
            write(statistics.add(_results_of(job, shard)))
    summary = _summarise(job, plan, work, statistics)
    if outputs.report is not None and render_report is not None:
        write_text(outputs.report, render_report(summary, statistics, pool.pictures(statistics.shown)))
    write_json(outputs.manifest, summary.model_dump(mode="json"))
    tidy(outputs, (outputs.results_of(shard).name for shard in read_shards(outputs, plan.shards)) if keep else None)
    return summary


def _results_of(job: ScoringJob, shard: Shard) -> ShardResults:
    path = job.outputs.results_of(shard)
    results = read_results(path, shard.images)
    if results is None:
        raise DataError(f"{path} is missing or damaged; run the same command again: it makes it anew")
    return results


def _check_machine(job: ScoringJob) -> None:
    """Before any work: the rows made here would be those of the machine that planned the job.

    Raises:
        PipelineError: a file or folder that the job names is not there, or another version is installed.
    """
    where = f"on {socket.gethostname()}"
    if preprocessing_version() != job.preprocessing_version:
        raise PipelineError(
            f"another version of mnist-pipeline, onnxruntime, onnx, OpenCV, Pillow or NumPy runs {where} than where "
            "the job was started; install the same ones there and start its worker again"
        )
    needed = [job.outputs.listing, job.outputs.results, job.model.path]
    for path in [*needed, *([Path(job.source.root)] if job.source.kind == "folder" else [])]:
        if not path.exists():
            raise PipelineError(
                f"{path} is not there {where}; images, model and output must have the same paths on every worker"
            )


def _summarise(job: ScoringJob, plan: Plan, work: Work, statistics: Statistics) -> ScoreSummary:
    """The manifest of an output that is there."""
    seconds = time.monotonic() - plan.started
    return ScoreSummary(
        output=printable(job.outputs.output.name),
        output_sha256=sha256_file(job.outputs.output),
        images=statistics.images,
        ok=statistics.statuses["ok"],
        no_digit=statistics.statuses["no_digit"],
        errors=statistics.statuses["error"],
        digits={str(digit): statistics.digits[digit] for digit in range(10)},
        no_digit_reasons=dict(sorted(statistics.reasons.items())),
        errors_by_kind=dict(sorted(statistics.error_kinds.items())),
        first_errors=statistics.examples,
        skipped=dict(sorted(plan.skipped.entries.items())),
        unreadable_folders=sorted(map(printable, plan.skipped.unreadable)),
        listing_sha256=statistics.listing.hexdigest(),
        inputs_sha256=statistics.inputs.hexdigest(),
        signatures_sha256=statistics.signatures.hexdigest(),
        provider=statistics.provider,
        reused=work.reused,
        workers=len(work.processes),
        seconds=round(seconds, 3),
        images_per_second=round((statistics.images - work.reused) / max(seconds, 1e-9), 1),
        **job.recipe,
    )
