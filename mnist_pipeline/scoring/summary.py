"""How a job ended: its manifest, and what people must know of it, in words. Pure."""

from collections.abc import Mapping

from mnist_pipeline import PreprocessMode
from mnist_pipeline.rejection.answers import ConfidenceThreshold
from mnist_pipeline.runs.wording import quantity
from mnist_pipeline.schema import Record


class ErrorExample(Record):
    """One image that could not be scored."""

    path: str
    kind: str
    message: str


class ScoreSummary(Record):
    """How a job ended: the manifest beside the output, and what the command prints as JSON."""

    output: str
    """Name of the output file."""
    output_sha256: str
    images: int
    ok: int
    no_digit: int
    errors: int
    digits: dict[str, int]
    """Class -> images with status ok."""
    no_digit_reasons: dict[str, int]
    errors_by_kind: dict[str, int]
    first_errors: list[ErrorExample]
    skipped: dict[str, int]
    """Directory entries that are no regular files and so no rows: symbolic links, pipes, hidden files ..."""
    unreadable_folders: list[str]
    location: str
    listing_sha256: str
    """Of all names, NUL-terminated, in order."""
    inputs_sha256: str
    """Of the SHA-256 of every image, in order; zeros where none could be read."""
    signatures_sha256: str
    """Of size and time of every image, in order: tells without reading that an image has changed."""
    model: str
    model_version: str | None
    model_sha256: str
    provider: str
    preprocess: PreprocessMode
    preprocessing_version: str
    threshold: ConfidenceThreshold
    probabilities: bool
    reused: int
    """Images whose rows an earlier, interrupted job had left."""
    workers: int
    """Processes that scored any image."""
    seconds: float
    images_per_second: float
    """Of the images scored by this job, over its whole duration."""


def remarks(summary: ScoreSummary) -> list[str]:
    """A line for everything that means: the answers are not all that was wanted."""
    found = []
    if not summary.images:
        found.append(f"there is no image in {_place(summary)}; {left_out(summary) or 'nothing else is there either'}")
    elif summary.errors == summary.images:
        found.append(
            f"not one of the {summary.images:,} images could be scored: {counts(summary.errors_by_kind)}; "
            "the column 'error' says why"
        )
    if folders := summary.unreadable_folders:
        found.append(
            f"{quantity(len(folders), 'folder')} could not be read, and what is in there is missing: {folders[0]}"
        )
    return found


def is_complete(summary: ScoreSummary) -> bool:
    """There were images, and each of them could be read and decoded."""
    return summary.images > 0 and not summary.errors and not summary.unreadable_folders


def unscored(summary: ScoreSummary) -> str:
    """How many images have errors, and the first of them; "" where none has."""
    if not summary.errors:
        return ""
    first = summary.first_errors[0]
    return f"{quantity(summary.errors, 'image')} could not be scored, such as {first.path}: {first.message}"


def left_out(summary: ScoreSummary) -> str:
    """What was passed over, by kind; "" where that is nothing."""
    if not summary.skipped:
        return ""
    kinds = (
        quantity(count, kind) if kind != "hidden" else f"{count:,} hidden" for kind, count in summary.skipped.items()
    )
    return f"left out: {', '.join(kinds)}"


def counts(kinds: Mapping[str, int]) -> str:
    """Such as "2 corrupt, 1 empty"."""
    return ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())


def _place(summary: ScoreSummary) -> str:
    kind, _, root = summary.location.partition(":")
    return "the list" if kind == "list" else root
