"""What people must know of a finished job, in words. Pure."""

from collections.abc import Mapping

from mnist_pipeline.runs.wording import quantity
from mnist_pipeline.scoring.records import ScoreSummary


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
