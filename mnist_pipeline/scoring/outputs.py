"""What a scoring job writes, where, who may do so, and what an interrupted one has left there."""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

from mnist_pipeline.errors import IntegrityError, PipelineError
from mnist_pipeline.files import leftovers, printable, read_json, sibling
from mnist_pipeline.files.locks import ProcessLock
from mnist_pipeline.files.writing import Destination, Inputs, check_destinations, identity, require_folders
from mnist_pipeline.scoring.config import ScoreConfig
from mnist_pipeline.scoring.results import NO_ROOM
from mnist_pipeline.scoring.writers import check_format

if TYPE_CHECKING:
    from mnist_pipeline.scoring.job import ScoringJob
    from mnist_pipeline.scoring.shards import Shard

GENERATOR = "mnist-pipeline score"
"""What a report, or a review sheet, says made it."""
HEAD_BYTES = 1_024
"""Of a page, within which it says so."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """Every path that a job writes, absolute.

    Attributes:
        output: .csv, .jsonl or .parquet; a manifest appears beside it.
        report: HTML page.
        review: HTML sheet that people answer; whoever runs the job writes it, from the output.
    """

    output: Path
    report: Path | None = None
    review: Path | None = None

    @classmethod
    def of(cls, output: Path, report: Path | None = None, review: Path | None = None) -> Self:
        """Of the paths as a user names them."""
        return cls(output.absolute(), *(None if path is None else path.absolute() for path in (report, review)))

    @property
    def manifest(self) -> Path:
        return sibling(self.output, "", ".manifest.json")

    @property
    def work(self) -> Path:
        """The unfinished job; hidden, so that no listing takes it for images."""
        return sibling(self.output, ".", ".scoring")

    @property
    def listing(self) -> Path:
        return self.work / "listing"

    @property
    def shards(self) -> Path:
        return self.work / "shards"

    @property
    def results(self) -> Path:
        """Folder of the rows of each shard."""
        return self.work / "results"

    def results_of(self, shard: "Shard") -> Path:
        """The file that holds the rows of a shard once it is scored."""
        return self.results / f"{shard.key[:40]}.rows"

    @property
    def named(self) -> list[Path]:
        """What the user named."""
        return [path for path in (self.output, self.report, self.review) if path is not None]

    @property
    def locks(self) -> list[Path]:
        """Of each of these, what keeps other jobs from writing it meanwhile."""
        return [sibling(path, ".", ".lock") for path in self.named]

    @property
    def visible(self) -> list[Path]:
        """What is there in the end, and never counts as an image."""
        return [self.manifest, *self.named]


def is_report(path: Path, *, of: str = "") -> bool:
    """Whether the file is a report of ours; and of the output with this SHA-256, where one is given."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return False
    return f'content="{GENERATOR}"'.encode() in head and of.encode() in head


def tidy(outputs: Outputs, kept: Iterable[str] | None = None) -> None:
    """Remove what a finished job leaves, but for the named rows of shards."""
    if kept is None:
        shutil.rmtree(outputs.work, ignore_errors=True)
        return
    names = set(kept)
    outputs.listing.unlink(missing_ok=True)
    outputs.shards.unlink(missing_ok=True)
    for path in outputs.results.iterdir():
        if path.name not in names:
            path.unlink(missing_ok=True)


@contextmanager
def claim(job: "ScoringJob", names: BinaryIO | None = None) -> Iterator[None]:
    """Before any work: the outputs can be written, destroy nothing, and are nobody else's until the block ends.

    Args:
        job: whose outputs.
        names: its list, where the source is one.

    Raises:
        UsageError: an output is an input, or exists and neither ``overwrite`` nor ``resume`` lets it be replaced.
        PipelineError: a folder cannot be written, another job writes there, or the disk is full.
    """
    outputs, inputs = job.outputs, _inputs_of(job, names)
    check_format(outputs.output)
    _check(outputs, job.config, inputs)
    require_folders(outputs.named)
    with ExitStack() as held:
        for path, lock in zip(outputs.named, outputs.locks, strict=True):
            busy = PipelineError(f"another job is writing {path}; wait for it or choose another output")
            held.enter_context(ProcessLock(lock, temporary=True).hold(busy=busy))
        _check(outputs, job.config, inputs)  # again: another job may just have ended
        held.callback(_remove_if_empty, outputs)
        try:
            _prepare(outputs, job.config)
            yield
        except OSError as error:
            where = error.filename if isinstance(error.filename, str) else outputs.output.parent
            advice = "make room" if error.errno in NO_ROOM else "mend that"
            raise PipelineError(
                f"{where}: {error.strerror or error}; {advice}, and run the same with --resume: what is scored is kept"
            ) from error


def _inputs_of(job: "ScoringJob", names: BinaryIO | None) -> Inputs:
    """What a job reads. Images that a list names are looked at when it is read (`listing.image_names`)."""
    known = [(identity(job.model.path), "the model")]
    if names is not None:
        with suppress(OSError):  # it is in memory
            known.append((identity(names.fileno()), "the list"))
    folder = job.model.path.parent
    return Inputs(
        files={same: what for same, what in known if same is not None},
        folders={Path(job.source.root): "one of the images in"} if job.source.kind == "folder" else {},
        # A published version has a manifest; beside it lie the other versions, aliases and history of the model.
        sealed=(folder.parent,) if (folder / "manifest.json").is_file() else (),
    )


def _check(outputs: Outputs, config: ScoreConfig, inputs: Inputs) -> None:
    has_manifest = _is_manifest(outputs)
    destinations = [Destination("--output", outputs.output, lambda: has_manifest or outputs.work.is_dir())]
    used = [outputs.work, *outputs.locks]
    if has_manifest:  # it may be replaced: that of an output that is gone tells nothing any more
        used.append(outputs.manifest)
    else:
        destinations.append(Destination("the manifest of --output,", outputs.manifest))
    for option, page in (("--report", outputs.report), ("--review", outputs.review)):
        if page is not None:
            destinations.append(Destination(option, page, partial(is_report, page)))
    check_destinations(
        destinations,
        inputs,
        "anything" if config.overwrite else "own" if config.resume else "nothing",
        "--overwrite replaces it, --resume brings it up to date",
        used,
    )


def _is_manifest(outputs: Outputs) -> bool:
    try:
        return read_json(outputs.manifest).get("output") == printable(outputs.output.name)
    except (OSError, IntegrityError):
        return False


def _prepare(outputs: Outputs, config: ScoreConfig) -> None:
    """Remove what killed jobs have left, but for rows that this one may use."""
    for path in outputs.visible:
        for leftover in leftovers(path):
            leftover.unlink(missing_ok=True)
    if config.overwrite and not config.resume:
        shutil.rmtree(outputs.work, ignore_errors=True)
    outputs.results.mkdir(parents=True, exist_ok=True)
    for leftover in (*outputs.work.glob("names-*"), *outputs.results.glob(".*.tmp")):
        leftover.unlink(missing_ok=True)


def _remove_if_empty(outputs: Outputs) -> None:
    """A job that came to nothing leaves no trace; one with scored shards leaves them."""
    if outputs.results.is_dir() and not any(outputs.results.iterdir()):
        shutil.rmtree(outputs.work, ignore_errors=True)
