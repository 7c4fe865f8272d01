"""One scoring job: what its rows depend on, which of them are there already, and what it says in the end."""

import hashlib
import socket
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from mnist_pipeline.config import ScoreConfig
from mnist_pipeline.errors import IntegrityError, PipelineError
from mnist_pipeline.files import printable, read_json, sha256_file
from mnist_pipeline.rejection.model import ScoringModel
from mnist_pipeline.rejection.rule import choose_threshold
from mnist_pipeline.scoring.outputs import Outputs
from mnist_pipeline.scoring.records import Limits, Location, ScoreSummary, ScoringSettings, Section, Shard
from mnist_pipeline.scoring.report import is_report
from mnist_pipeline.scoring.results import Part, read_rows
from mnist_pipeline.scoring.shards import preprocessing_version
from mnist_pipeline.scoring.sources.listing import END, Skipped
from mnist_pipeline.scoring.sources.reading import GONE, NOTHING, SIGNATURE, Reader, Signature
from mnist_pipeline.scoring.statistics import Tally

KEPT_ERRORS = frozenset({"crashed", "timed out"})
"""Errors that stand although nothing was read."""


def make_settings(config: ScoreConfig, location: Location, model: ScoringModel) -> ScoringSettings:
    """What the rows depend on, beside the images."""
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
    )


def reusable(shard: Shard, reader: Reader) -> bool:
    """Whether the shard's rows are there already, whole, and every image is still the one that was scored."""
    part = read_rows(shard)
    return part is not None and all(_is_same(part, row, reader) for row in range(len(part.names)))


def _is_same(part: Part, row: int, reader: Reader) -> bool:
    seen = Signature(int(part.rows["size"][row]), int(part.rows["modified_ns"][row]))
    if seen == NOTHING:
        kind = part.errors.get(row, ("", ""))[0]
        return kind in KEPT_ERRORS or (kind in GONE and reader.signature(part.names[row]) is None)
    return reader.signature(part.names[row]) == seen


def finished(
    outputs: Outputs, expected: dict[str, object], names: Iterable[bytes], reader: Reader
) -> ScoreSummary | None:
    """The manifest of outputs that are whole and were made in the same way of the same images; else None."""
    try:
        summary = ScoreSummary.model_validate(read_json(outputs.manifest))
        if sha256_file(outputs.output) != summary.output_sha256:
            return None
    except (OSError, IntegrityError, ValidationError):
        return None
    if outputs.report is not None and not is_report(outputs.report, of=summary.output_sha256):
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
            f"another version of mnist-pipeline, onnxruntime, onnx, OpenCV, Pillow or NumPy runs {where} than where "
            "the job was started; install the same ones there and start its worker again"
        )
    needed = [section.listing, section.parts, settings.model]
    if settings.location.kind == "folder":
        needed.append(Path(settings.location.root))
    for path in needed:
        if not path.exists():
            raise PipelineError(
                f"{path} is not there {where}; images, model and output must have the same paths on every worker"
            )


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
        output=printable(outputs.output.name),
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
        unreadable_folders=sorted(map(printable, skipped.unreadable)),
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
        "location": f"{settings.location.kind}:{printable(settings.location.root)}",
        "model": printable(settings.model),
        "model_version": model.version,
        "model_sha256": model.sha256,
        "preprocess": config.preprocess,
        "preprocessing_version": settings.preprocessing_version,
        "threshold": choose_threshold(config.min_confidence, model).model_dump(mode="json"),
        "probabilities": config.probabilities,
    }
