"""A scoring job in three steps, whoever takes them: the command, tasks in threads, or tasks on a cluster.

    plan(job)                    the names of all images, sorted and cut into shards, on disk
    score(job, shards, pool)     the rows of each shard, by worker processes
    finish(job, plan, work)      all rows, in order, to the output

All of it happens within `claim.claim`. What is unfinished lies in a hidden folder beside the output. A job that
was killed leaves it there; the next job takes over the rows of every shard whose names, settings and images are
still the same. The folder goes once the output is there.
"""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from mnist_pipeline.errors import DataError, PipelineError
from mnist_pipeline.files import open_atomic, printable, sha256_file, write_json, write_text
from mnist_pipeline.progress import ReportProgress, no_progress
from mnist_pipeline.scoring.job import ScoringJob, preprocessing_version
from mnist_pipeline.scoring.outputs import tidy
from mnist_pipeline.scoring.records import Plan, ScoreSummary, Shard, ShardRange, Work
from mnist_pipeline.scoring.results import read_results
from mnist_pipeline.scoring.resume import is_current
from mnist_pipeline.scoring.shards import cut, read_shards
from mnist_pipeline.scoring.sources.listing import Skipped
from mnist_pipeline.scoring.sources.names import sorted_names
from mnist_pipeline.scoring.sources.reading import open_reader, size_of
from mnist_pipeline.scoring.statistics import Statistics
from mnist_pipeline.scoring.workers.pool import Pool
from mnist_pipeline.scoring.writers import open_sink

RenderReport = Callable[[ScoreSummary, Statistics, list[dict[str, str]]], str]
"""The page of a finished job, with the pictures of the images that `Statistics.shown` names."""
Count = Callable[[int], None]


def plan(job: ScoringJob, names: BinaryIO | None = None, report_progress: ReportProgress = no_progress) -> Plan:
    """List the images.

    Args:
        job: whose.
        names: where its source is a list: the paths, one a line or NUL-terminated.
        report_progress: is told how many there are.

    Raises:
        UsageError: the source is no folder that can be read; or a list names what the job writes.
    """
    started, outputs, skipped = time.monotonic(), job.outputs, Skipped()
    outputs.results.mkdir(parents=True, exist_ok=True)
    found = sorted_names(job, names, skipped, report_progress)
    shards = cut(found, outputs, job.settings, job.config.shard_images, size_of(job.source))
    found.close()
    return Plan(shards=shards, skipped=dict(skipped.entries), unreadable_folders=skipped.unreadable, started=started)


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
    reader = open_reader(job.source, job.settings.limits.bytes)
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
    with _open_output(job, statistics) as add:
        for shard in read_shards(outputs, plan.shards):
            add(shard)
    summary = _summarise(job, plan, work, statistics)
    if outputs.report is not None and render_report is not None:
        write_text(outputs.report, render_report(summary, statistics, pool.pictures(statistics.shown)))
    write_json(outputs.manifest, summary.model_dump(mode="json"))
    tidy(outputs, (outputs.results_of(shard).name for shard in read_shards(outputs, plan.shards)) if keep else None)
    return summary


@contextmanager
def _open_output(job: ScoringJob, statistics: Statistics) -> Iterator[Callable[[Shard], None]]:
    """The output file, which appears when the block ends; the value appends the rows of the next shard."""
    with open_atomic(job.output) as file:
        sink = open_sink(job.output.suffix, file, probabilities=job.config.probabilities)

        def add(shard: Shard) -> None:
            path = job.outputs.results_of(shard)
            results = read_results(path, shard.images)
            if results is None:
                raise DataError(f"{path} is missing or damaged; run the same command again: it makes it anew")
            sink.write(statistics.add(results))

        yield add
        sink.close()


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
    needed = [job.outputs.listing, job.outputs.results, job.model.path.absolute()]
    for path in chain(needed, [Path(job.source.root)] if job.source.kind == "folder" else []):
        if not path.exists():
            raise PipelineError(
                f"{path} is not there {where}; images, model and output must have the same paths on every worker"
            )


def _summarise(job: ScoringJob, plan: Plan, work: Work, statistics: Statistics) -> ScoreSummary:
    """The manifest of an output that is there."""
    seconds = time.monotonic() - plan.started
    return ScoreSummary(
        output=printable(job.output.name),
        output_sha256=sha256_file(job.output),
        images=statistics.images,
        ok=statistics.statuses["ok"],
        no_digit=statistics.statuses["no_digit"],
        errors=statistics.statuses["error"],
        digits={str(digit): statistics.digits[digit] for digit in range(10)},
        no_digit_reasons=dict(sorted(statistics.reasons.items())),
        errors_by_kind=dict(sorted(statistics.error_kinds.items())),
        first_errors=statistics.examples,
        skipped=dict(sorted(plan.skipped.items())),
        unreadable_folders=sorted(map(printable, plan.unreadable_folders)),
        listing_sha256=statistics.listing_sha256,
        inputs_sha256=statistics.inputs_sha256,
        signatures_sha256=statistics.signatures_sha256,
        provider=statistics.provider,
        reused=work.reused,
        workers=len(work.processes),
        seconds=round(seconds, 3),
        images_per_second=round((statistics.images - work.reused) / max(seconds, 1e-9), 1),
        **job.recipe,
    )
