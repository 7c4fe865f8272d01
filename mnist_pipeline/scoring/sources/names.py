"""The names of all images of a job, sorted, wherever they are."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from mnist_pipeline.errors import UsageError
from mnist_pipeline.progress import Progress, ReportProgress
from mnist_pipeline.scoring.claim import without_outputs
from mnist_pipeline.scoring.outputs import Outputs
from mnist_pipeline.scoring.sources.listing import Skipped, SortedNames, read_list, scan_folder, sort_names

if TYPE_CHECKING:
    from mnist_pipeline.scoring.job import ScoringJob


def sorted_names(
    job: "ScoringJob", names: BinaryIO | None, skipped: Skipped, report_progress: ReportProgress
) -> SortedNames:
    """All names; what the job itself writes is not among them.

    Args:
        job: whose.
        names: the list, where the source is one.
        skipped: gets what is passed over.
        report_progress: is told how many there are.
    """

    def found(count: int) -> None:
        report_progress(Progress("list images", count, None, "images"))

    return sort_names(_names(job, names, skipped), job.outputs.work, found)


def _names(job: "ScoringJob", names: BinaryIO | None, skipped: Skipped) -> Iterator[bytes]:
    if job.source.kind == "folder":
        root = Path(job.source.root)
        return scan_folder(root, _below(root, job.outputs), skipped)
    if job.source.kind == "prefix":
        from mnist_pipeline.scoring.sources.objects import list_keys

        return list_keys(job.source.root, skipped)
    if names is None:
        raise UsageError("a list of paths was announced and none was given")
    return without_outputs(read_list(names), job.source.root, job.outputs)


def _below(root: Path, outputs: Outputs) -> frozenset[bytes]:
    """The names of the outputs in the folder."""
    inside = [Path(os.path.realpath(path)) for path in outputs.visible]
    return frozenset(os.fsencode(path.relative_to(root).as_posix()) for path in inside if root in path.parents)
