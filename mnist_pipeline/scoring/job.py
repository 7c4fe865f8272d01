"""One scoring job on disk: what it writes, who may write it, and what an interrupted one has left."""

import errno
import hashlib
import os
import shutil
import socket
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from mnist_pipeline.config import ScoreConfig
from mnist_pipeline.errors import IntegrityError, PipelineError, UsageError
from mnist_pipeline.files import read_json, sha256_file
from mnist_pipeline.rejection.answers import ConfidenceThreshold
from mnist_pipeline.rejection.model import ScoringModel
from mnist_pipeline.rejection.rule import DEFAULT_THRESHOLD
from mnist_pipeline.scoring.records import Limits, Location, ScoreSummary, ScoringSettings, Section, Shard
from mnist_pipeline.scoring.results import Part, read_rows
from mnist_pipeline.scoring.shards import preprocessing_version
from mnist_pipeline.scoring.sources.listing import END, Skipped
from mnist_pipeline.scoring.sources.reading import NOTHING, SIGNATURE, Reader, Signature
from mnist_pipeline.scoring.statistics import Tally
from mnist_pipeline.scoring.writers import check_format

KEPT_ERRORS = frozenset({"crashed", "timed out"})
"""Errors that stand although nothing was read."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """Every path that a job writes, but for the report."""

    output: Path

    @property
    def manifest(self) -> Path:
        return self.output.with_name(f"{self.output.name}.manifest.json")

    @property
    def work(self) -> Path:
        """The unfinished job; hidden, so that no listing takes it for images."""
        return self.output.with_name(f".{self.output.name}.scoring")

    @property
    def listing(self) -> Path:
        return self.work / "listing"

    @property
    def parts(self) -> Path:
        return self.work / "parts"

    @property
    def lock(self) -> Path:
        return self.output.with_name(f".{self.output.name}.lock")


def make_settings(config: ScoreConfig, location: Location, model: ScoringModel) -> ScoringSettings:
    """What the rows depend on, beside the images."""
    asked = choose_threshold(config, model).strangeness is not None
    evaluation = model.evaluation.absolute() if model.evaluation is not None and asked else None
    return ScoringSettings(
        location=location,
        model=model.path.absolute(),
        model_sha256=model.sha256,
        device=config.device,
        preprocess=config.preprocess,
        preprocessing_version=preprocessing_version(),
        limits=Limits(
            pixels=int(config.max_megapixels * 1e6),
            bytes=int(config.max_megabytes * 1e6),
            seconds=config.image_seconds,
        ),
        evaluation=evaluation,
        evaluation_sha256=None if evaluation is None else sha256_file(evaluation),
    )


def choose_threshold(config: ScoreConfig, model: ScoringModel) -> ConfidenceThreshold:
    """The option, else the model's own, else the default."""
    if config.min_confidence is not None:
        return ConfidenceThreshold(value=config.min_confidence, source="--min-confidence")
    return model.threshold or DEFAULT_THRESHOLD


@contextmanager
def claim(outputs: Outputs, config: ScoreConfig) -> Iterator[None]:
    """Before any work: the output can be written, and by nobody else until the block ends.

    Raises:
        UsageError: the output exists and neither ``overwrite`` nor ``resume`` is set, or is no file.
        PipelineError: its folder cannot be written, or another job writes it.
    """
    from filelock import FileLock, Timeout

    check_format(outputs.output)
    if outputs.output.is_dir():
        raise UsageError(f"--output {outputs.output}: is a folder; name a file")
    if outputs.output.exists() and not (config.overwrite or config.resume):
        raise UsageError(f"--output {outputs.output} exists; --overwrite replaces it, --resume brings it up to date")
    try:
        outputs.parts.mkdir(parents=True, exist_ok=True)
        lock = FileLock(outputs.lock, blocking=False)
        lock.acquire()
    except Timeout:
        raise PipelineError(f"another job is writing {outputs.output}; wait for it or choose another output") from None
    except OSError as error:
        raise PipelineError(f"{outputs.output.parent} cannot be written: {error.strerror}") from None
    try:
        _remove_leftovers(outputs)
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise
        raise PipelineError(
            f"{outputs.output.parent}: {error.strerror}; make room and run the same command: it goes on from there"
        ) from None
    finally:
        lock.release()
        outputs.lock.unlink(missing_ok=True)
        _remove_if_empty(outputs)


def _remove_leftovers(outputs: Outputs) -> None:
    """Temporary files of a job that was killed. Nobody else writes here: the lock is held."""
    for path in (outputs.output, outputs.manifest):
        for leftover in path.parent.glob(f".{_literal(path.name)}.*.tmp"):
            leftover.unlink(missing_ok=True)
    for leftover in (*outputs.work.glob("names-*"), *outputs.work.glob("worker-*"), *outputs.parts.glob(".*.tmp")):
        leftover.unlink(missing_ok=True)


def _literal(name: str) -> str:
    """A name in which no character is a pattern."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in name)


def _remove_if_empty(outputs: Outputs) -> None:
    """A job that came to nothing leaves no trace; one with scored shards leaves them."""
    if outputs.parts.is_dir() and not any(outputs.parts.iterdir()):
        shutil.rmtree(outputs.work, ignore_errors=True)


def reusable(shard: Shard, reader: Reader) -> bool:
    """Whether the shard's rows are there already, whole, and every image is still the one that was scored."""
    part = read_rows(shard)
    return part is not None and all(_is_same(part, row, reader) for row in range(len(part.names)))


def _is_same(part: Part, row: int, reader: Reader) -> bool:
    seen = Signature(int(part.rows["size"][row]), int(part.rows["modified_ns"][row]))
    if seen == Signature(0, 0):
        kind = part.errors.get(row, ("", ""))[0]
        return kind in KEPT_ERRORS or (kind == "vanished" and reader.signature(part.names[row]) is None)
    return reader.signature(part.names[row]) == seen


def finished(
    outputs: Outputs, expected: dict[str, object], names: Iterable[bytes], reader: Reader
) -> ScoreSummary | None:
    """The manifest of an output that is whole and was made in the same way of the same images; else None."""
    try:
        summary = ScoreSummary.model_validate(read_json(outputs.manifest))
        if sha256_file(outputs.output) != summary.output_sha256:
            return None
    except (OSError, IntegrityError, ValidationError):
        return None
    stored = summary.model_dump(mode="json")
    if any(stored[name] != value for name, value in expected.items()):
        return None
    listing, signatures = hashlib.sha256(), hashlib.sha256()
    for name in names:
        listing.update(name + END)
        signatures.update(SIGNATURE.pack(*(reader.signature(name) or NOTHING)))
    found = (listing.hexdigest(), signatures.hexdigest())
    return summary if found == (summary.listing_sha256, summary.signatures_sha256) else None


def check_machine(section: Section) -> None:
    """Before any work on a section: its rows here would be those of the machine that planned it.

    Raises:
        PipelineError: a file or folder that the section names is not there, or another version is installed.
    """
    settings = section.settings
    where = f"on {socket.gethostname()}"
    if preprocessing_version() != settings.preprocessing_version:
        raise PipelineError(
            f"another version of mnist-pipeline, onnxruntime, onnx, Pillow or NumPy runs {where} than where the job "
            "was started; install the same ones there and start its worker again"
        )
    needed = [section.listing, section.parts, settings.model]
    if settings.location.kind == "folder":
        needed.append(Path(settings.location.root))
    for path in needed:
        if not path.exists():
            raise PipelineError(
                f"{path} is not there {where}; images, model and output must have the same paths on every worker"
            )


def tidy(outputs: Outputs, kept: Collection[str] | None = None) -> None:
    """Remove what a finished job leaves, but for the named parts."""
    if kept is None:
        shutil.rmtree(outputs.work, ignore_errors=True)
        return
    outputs.listing.unlink(missing_ok=True)
    for part in outputs.parts.iterdir():
        if part.name not in kept:
            part.unlink(missing_ok=True)


def summarise(
    config: ScoreConfig,
    settings: ScoringSettings,
    model: ScoringModel,
    outputs: Outputs,
    tally: Tally,
    skipped: Skipped,
    workers: int,
    seconds: float,
) -> ScoreSummary:
    """The manifest of an output that is there."""
    return ScoreSummary(
        output=outputs.output.name,
        output_sha256=sha256_file(outputs.output),
        images=tally.images,
        ok=tally.statuses["ok"],
        no_digit=tally.statuses["no_digit"],
        errors=tally.statuses["error"],
        digits={str(digit): tally.digits[digit] for digit in range(10)},
        no_digit_reasons=dict(sorted(tally.reasons.items())),
        errors_by_kind=dict(sorted(tally.error_kinds.items())),
        first_errors=tally.examples,
        skipped=dict(sorted(skipped.entries.items())),
        unreadable_folders=sorted(skipped.unreadable),
        listing_sha256=tally.listing_sha256,
        inputs_sha256=tally.inputs_sha256,
        signatures_sha256=tally.signatures_sha256,
        provider=tally.provider,
        reused=tally.reused,
        workers=workers,
        seconds=round(seconds, 3),
        images_per_second=round((tally.images - tally.reused) / max(seconds, 1e-9), 1),
        **recipe(config, settings, model),
    )


def recipe(config: ScoreConfig, settings: ScoringSettings, model: ScoringModel) -> dict[str, object]:
    """The fields of a manifest that say how its output was made."""
    return {
        "location": f"{settings.location.kind}:{settings.location.root}",
        "model": os.fspath(settings.model),
        "model_version": model.version,
        "model_sha256": model.sha256,
        "preprocess": config.preprocess,
        "preprocessing_version": settings.preprocessing_version,
        "threshold": choose_threshold(config, model).model_dump(mode="json"),
        "probabilities": config.probabilities,
    }
