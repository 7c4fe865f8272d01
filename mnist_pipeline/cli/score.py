"""Batch scoring of images with a published model."""

import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO
from urllib.parse import urlsplit

import typer

from mnist_pipeline.cli import options
from mnist_pipeline.cli.options import RegistryOptions
from mnist_pipeline.cli.process import no_collector, start_lean
from mnist_pipeline.cli.terminal import Terminal
from mnist_pipeline.errors import StoppedError, UsageError
from mnist_pipeline.files import printable

if TYPE_CHECKING:
    from mnist_pipeline.scoring.config import ScoreConfig
    from mnist_pipeline.scoring.sources.reading import Location
    from mnist_pipeline.scoring.summary import ScoreSummary

UNSCORED = 4
ERRORS_SHOWN = 5
CONFIGURED = ("preprocess", "workers", "min_confidence", "probabilities", "overwrite", "resume")
"""Options that are fields of `ScoreConfig`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreOptions:
    """What is to be scored, with which model, and what is to come of it."""

    folder: Annotated[str | None, typer.Argument(help="Folder of images, at any depth; or s3://bucket/prefix.")] = None
    output: Annotated[Path | None, typer.Option("--output", "-o", help="FILE.csv, .jsonl or .parquet.")] = None
    files_from: Annotated[
        str | None, typer.Option("--files-from", metavar="LIST", help="File with a path a line; - is standard input.")
    ] = None
    model: options.Model = "champion"
    where: RegistryOptions
    preprocess: options.Preprocess = "auto"
    min_confidence: options.MinConfidence = None
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Write p0 to p9 as well.")] = False
    device: options.Device = None
    workers: Annotated[int | None, options.setting("--workers", "Processes; one per CPU.")] = None
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing outputs, and start anew.")] = False
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where a job stopped; bring its outputs up to date.")
    ] = False
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 4 if an image could not be scored, or no image was found.")
    ] = False
    report: Annotated[Path | None, typer.Option("--report", help="HTML page: what to check by eye first.")] = None
    review: Annotated[
        Path | None, typer.Option("--review", help="HTML sheet in which people answer images; saves labels.csv.")
    ] = None
    review_count: options.ReviewCount = options.REVIEW_COUNT
    dask_scheduler: Annotated[
        str | None,
        options.setting("--dask-scheduler", "Score on the workers of a Dask cluster.", metavar="tcp://HOST:PORT"),
    ] = None

    @property
    def rows(self) -> Path:
        """Where they go.

        Raises:
            UsageError: nobody has said so.
        """
        if self.output is None:
            raise UsageError("say where the rows go: --output FILE.csv, FILE.jsonl or FILE.parquet")
        return self.output

    @property
    def location(self) -> "Location":
        """Where the images are.

        Raises:
            UsageError: nobody has said so, or twice.
        """
        from mnist_pipeline.scoring.sources.reading import Location

        if (self.folder is None) == (self.files_from is None):
            raise UsageError("say what to score: either FOLDER or --files-from LIST")
        if self.folder is None:
            return Location(kind="list", root=str(Path.cwd()))
        return Location.of(self.folder)

    def config(self) -> "ScoreConfig":
        """How it is scored.

        Raises:
            UsageError: a value is not allowed.
        """
        from mnist_pipeline.schema import parse_config
        from mnist_pipeline.scoring.config import ScoreConfig

        values = {name: getattr(self, name) for name in CONFIGURED}
        return parse_config(ScoreConfig, values | {"device": self.device or "auto"})


def score(terminal: Terminal, asked: ScoreOptions) -> None:
    """Label every image of a folder: path, status, digit, confidence, error; one row an image, in sorted order."""
    start_lean()
    output = asked.rows
    if asked.review is not None and (asked.dask_scheduler is not None or "://" in (asked.folder or "")):
        raise UsageError(
            "--review: the sheet names files of this machine; for a cluster or an object store, score without it, "
            "then: mnist-pipeline serve --review OUTPUT"
        )
    try:
        if asked.dask_scheduler is None:
            summary = _score_here(terminal, asked)
        else:
            summary = _score_on_dask(terminal, asked, asked.dask_scheduler)
        if asked.review is not None:
            _write_review(asked, asked.review)
    except KeyboardInterrupt:
        if asked.resume or not asked.overwrite:
            raise
        raise StoppedError("interrupted; with --resume in the place of --overwrite it goes on from here") from None
    terminal.result(summary.model_dump(mode="json"), *_lines(summary, output, asked.report, asked.review))
    from mnist_pipeline.scoring.summary import is_complete, remarks

    for remark in remarks(summary):
        terminal.warn(remark)
    if asked.strict and not is_complete(summary):
        raise typer.Exit(UNSCORED)


def _score_here(terminal: Terminal, asked: ScoreOptions) -> "ScoreSummary":
    """By processes on this machine; Prefect is not loaded."""
    from mnist_pipeline.scoring.workers.start import start_forkserver

    start_forkserver()  # it loads while this process does
    with no_collector():
        from mnist_pipeline.registry.lookup import find_scoring_model
        from mnist_pipeline.reporting.scoring import render_scoring_report
        from mnist_pipeline.scoring.job import ScoringJob
        from mnist_pipeline.scoring.score import score_job

        config, model = asked.config(), find_scoring_model(asked.model, **asdict(asked.where))
    job = ScoringJob.of(config, asked.location, model, asked.rows, asked.report, asked.review)
    with _names(asked.files_from) as names, terminal.progress() as report_progress:
        return score_job(job, names, report_progress, render_scoring_report)


def _score_on_dask(terminal: Terminal, asked: ScoreOptions, scheduler: str) -> "ScoreSummary":
    """By the workers of a cluster, as a Prefect flow."""
    from mnist_pipeline.cli.flows import load_flows
    from mnist_pipeline.network import is_loopback

    folder = asked.folder
    if folder is None or asked.files_from is not None:
        raise UsageError("--dask-scheduler: name a FOLDER or s3://bucket/prefix; a list is scored on one machine")
    for path in (folder, asked.rows, asked.report):
        if path is not None and printable(path) != str(path):
            raise UsageError(f"--dask-scheduler: {printable(path)} is no UTF-8, which is all that servers take")
    config = asked.config()
    here = is_loopback(urlsplit(scheduler).hostname or "")
    required = (
        f"--dask-scheduler {scheduler}: its workers report to a Prefect server; start one with "
        "'prefect server start --host 0.0.0.0' and name it where both can reach it: PREFECT_API_URL=http://HOST:4200/api"
    )
    scoring = load_flows("scoring", "score --dask-scheduler", required=None if here else required)
    from prefect.exceptions import ParameterTypeError

    from flows.progress import listening

    more = asdict(asked.where) | {"dask_scheduler": scheduler, "keep_shards": False, "report": asked.report}
    try:
        with terminal.progress() as report_progress, listening(report_progress):
            summary: ScoreSummary = scoring.score_folder(folder, asked.rows, config, model=asked.model, **more)
    except ParameterTypeError as error:
        raise UsageError(" ".join(str(error).split())) from None
    return summary


def _write_review(asked: ScoreOptions, sheet: Path) -> None:
    from mnist_pipeline.errors import PipelineError
    from mnist_pipeline.files import write_text
    from mnist_pipeline.reporting.review import review_sheet

    text = review_sheet(asked.rows, asked.location, asked.review_count)
    try:
        write_text(sheet, text)
    except OSError as error:
        raise PipelineError(f"--review {printable(sheet)}: {error.strerror or error}; the rows are all there") from None


def _names(files_from: str | None) -> AbstractContextManager[BinaryIO | None]:
    if files_from is None:
        return nullcontext()
    if files_from == "-":
        if sys.stdin is None:
            raise UsageError("--files-from -: standard input is closed")
        return nullcontext(sys.stdin.buffer)
    try:
        return Path(files_from).open("rb")
    except OSError as error:
        raise UsageError(f"--files-from {files_from}: {error.strerror}") from None


def _lines(summary: "ScoreSummary", output: Path, *pages: Path | None) -> list[str]:
    """What a person wants to know first."""
    from mnist_pipeline.runs.wording import quantity
    from mnist_pipeline.scoring.summary import counts, left_out

    errors = quantity(summary.errors, "error") + (f" ({counts(summary.errors_by_kind)})" if summary.errors else "")
    lines = [
        f"{quantity(summary.images, 'image')}: {summary.ok:,} ok, {summary.no_digit:,} no digit, {errors}",
        "  ".join(f"{digit}: {count:,}" for digit, count in summary.digits.items()),
        *(f"error  {one.path}: {one.message}" for one in summary.first_errors[:ERRORS_SHOWN]),
        left_out(summary),
        f"{summary.reused:,} of them taken over from an earlier job" if summary.reused else "",
        f"{summary.images_per_second:,.0f} images/s, {summary.seconds:.1f} s, {quantity(summary.workers, 'worker')}",
        printable(output),
        *("" if page is None else printable(page) for page in pages),
    ]
    return [line for line in lines if line]
