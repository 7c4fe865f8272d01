"""A folder, a list or a prefix of images to one file of predictions.

    names, sorted -> shards -> rows of each shard, by worker processes -> all rows, in order -> output

What is unfinished lies in a hidden folder beside the output. A job that was killed leaves it there; the next job
takes over the rows of every shard whose names, settings and images are still the same. The folder goes once the
output is there.
"""

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from mnist_pipeline.config import ScoreConfig
from mnist_pipeline.errors import DataError, UsageError
from mnist_pipeline.files import open_atomic, write_json, write_text
from mnist_pipeline.files.names import printable
from mnist_pipeline.progress import Progress, ReportProgress, no_progress
from mnist_pipeline.rejection.answers import ConfidenceThreshold
from mnist_pipeline.rejection.model import ScoringModel
from mnist_pipeline.rejection.rule import choose_threshold
from mnist_pipeline.scoring.job import (
    finished,
    make_settings,
    recipe,
    reusable,
    summarise,
)
from mnist_pipeline.scoring.outputs import Outputs, claim, inputs_of, tidy, without_outputs
from mnist_pipeline.scoring.records import Location, ScoreSummary, Shard
from mnist_pipeline.scoring.results import read_rows
from mnist_pipeline.scoring.shards import cut
from mnist_pipeline.scoring.sources.listing import Skipped, SortedNames, read_list, scan_folder, sort_names
from mnist_pipeline.scoring.sources.reading import Reader, open_reader
from mnist_pipeline.scoring.statistics import Tally
from mnist_pipeline.scoring.workers.pool import Pool
from mnist_pipeline.scoring.workers.start import start_forkserver
from mnist_pipeline.scoring.writers import open_sink

logger = logging.getLogger(__name__)


def score_folder(
    config: ScoreConfig,
    folder: Path,
    output: Path,
    model: Path,
    model_sha256: str,
    report_progress: ReportProgress = no_progress,
    *,
    model_version: str | None = None,
    threshold: ConfidenceThreshold | None = None,
    report: Path | None = None,
) -> ScoreSummary:
    """Score every regular file below ``folder``; links are not followed, hidden names are passed over.

    Args:
        config: how.
        folder: holds the images, at any depth.
        output: .csv, .jsonl or .parquet; a manifest appears beside it.
        model: ONNX file.
        model_sha256: hex digest that it must have.
        report_progress: is told how far it is.
        model_version: for the manifest.
        threshold: the model's own; used where ``config.min_confidence`` is none.
        report: HTML file to write as well.

    Raises:
        UsageError: the folder is none, or the output exists; before any work.
        PipelineError: the output's folder cannot be written, workers keep dying, the disk is full.
        IntegrityError: the model is not the one that was asked for, or not safe.
        DeviceError: ``gpu`` was asked for and does not work.
    """
    location = Location(kind="folder", root=os.path.realpath(folder))
    scoring_model = ScoringModel(model, model_sha256, model_version, threshold)
    return score_images(config, location, None, output, scoring_model, report_progress, report=report)


def score_images(
    config: ScoreConfig,
    location: Location,
    names: BinaryIO | None,
    output: Path,
    model: ScoringModel,
    report_progress: ReportProgress = no_progress,
    *,
    report: Path | None = None,
) -> ScoreSummary:
    """As `score_folder`, for any location.

    Where the location is a list, ``names`` holds the paths: one a line, or NUL-terminated.
    """
    started = time.monotonic()
    start_forkserver()
    outputs = Outputs.of(output, report)
    settings = make_settings(config, location, model)
    workers = config.workers or usable_cpus()
    with claim(outputs, config, inputs_of(location, model, names)):
        with Pool(settings, workers, config.max_memory_megabytes) as pool:
            if not config.resume:
                pool.warm_up()
            skipped = Skipped()
            found = list_names(location, names, outputs, skipped, report_progress)
            reader = open_reader(location, settings.limits.bytes)
            if config.resume and (done := finished(outputs, recipe(config, settings, model), found, reader)):
                logger.info("%s is complete and up to date", printable(output))
                tidy(outputs)
                return done
            tally = Tally(choose_threshold(config.min_confidence, model))
            job = _Job(pool, reader, found.count, tally, report_progress)
            with open_output(outputs, config, tally) as add:
                for shard in job.in_order(cut(found, outputs.listing, outputs.parts, settings, config.shard_images)):
                    add(shard)
            pictures = take_pictures(tally, pool) if outputs.report is not None else []
        summary = summarise(config, settings, model, outputs, tally, skipped, workers, time.monotonic() - started)
        if outputs.report is not None:
            write_report(outputs.report, summary, tally, pictures)
        write_json(outputs.manifest, summary.model_dump(mode="json"))
        tidy(outputs)
    return summary


def take_pictures(tally: Tally, pool: Pool) -> list[dict[str, Any]]:
    """The pictures of the images that the report shows."""
    from mnist_pipeline.scoring.report import pictured

    return pool.pictures(list(pictured(tally)))


def write_report(path: Path, summary: ScoreSummary, tally: Tally, pictures: list[dict[str, Any]]) -> None:
    """The page: what to check by eye first."""
    from mnist_pipeline.scoring.report import cards, histogram, render_report

    write_text(path, render_report(summary, histogram(tally), cards(tally, pictures)))


def usable_cpus() -> int:
    """CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def list_names(
    location: Location,
    names: BinaryIO | None,
    outputs: Outputs,
    skipped: Skipped,
    report_progress: ReportProgress = no_progress,
) -> SortedNames:
    """All names of a location, sorted; what the job itself writes is not among them."""

    def found(count: int) -> None:
        report_progress(Progress("list images", count, None, "images"))

    if location.kind == "folder":
        root = Path(location.root)
        inside = [Path(os.path.realpath(path)) for path in outputs.visible]
        exclude = frozenset(os.fsencode(path.relative_to(root).as_posix()) for path in inside if root in path.parents)
        return sort_names(scan_folder(root, exclude, skipped), outputs.work, found)
    if location.kind == "prefix":
        from mnist_pipeline.scoring.sources.objects import list_keys

        return sort_names(list_keys(location.root, skipped), outputs.work, found)
    if names is None:
        raise UsageError("a list of paths was announced and none was given")
    return sort_names(without_outputs(read_list(names), location.root, outputs), outputs.work, found)


@contextmanager
def open_output(outputs: Outputs, config: ScoreConfig, tally: Tally) -> Iterator[Callable[[Shard], None]]:
    """The output file, which appears when the block ends; the value appends the rows of the next shard."""
    with open_atomic(outputs.output) as file:
        sink = open_sink(outputs.output.suffix, file, probabilities=config.probabilities)

        def add(shard: Shard) -> None:
            part = read_rows(shard)
            if part is None:
                raise DataError(f"{shard.part} is missing or damaged; run the same command again: it makes it anew")
            sink.write(tally.add(part))

        yield add
        sink.close()


@dataclass(slots=True)
class _Job:
    """Shards through the pool, and out again in order."""

    pool: Pool
    reader: Reader
    images: int
    tally: Tally
    report_progress: ReportProgress
    _done: dict[int, Shard] = field(default_factory=dict)
    _scored: int = 0
    _started: float = field(default_factory=time.monotonic)

    def in_order(self, shards: Iterable[Shard]) -> Iterator[Shard]:
        """Every shard, once its rows are stored."""
        following = 0
        for shard in self.pool.score(self._missing(shards)):
            if shard is not None:
                self._done[shard.index] = shard
                self._scored += shard.images
            while (ready := self._done.pop(following, None)) is not None:
                yield ready
                following += 1
            self._report()
        while (ready := self._done.pop(following, None)) is not None:
            yield ready
            following += 1

    def _missing(self, shards: Iterable[Shard]) -> Iterator[Shard]:
        """The shards whose rows are not there yet."""
        for shard in shards:
            if reusable(shard, self.reader):
                self._done[shard.index] = shard
                self.tally.reused += shard.images
            else:
                yield shard

    def _report(self) -> None:
        done = self.tally.reused + self._scored + self.pool.in_progress
        rate = (self._scored + self.pool.in_progress) / max(time.monotonic() - self._started, 1e-9)
        self.report_progress(Progress("score", min(done, self.images), self.images, "images", {"images/s": rate}))
