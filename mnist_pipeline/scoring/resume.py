"""What an earlier job has left that is still true: a whole output, or the rows of single shards."""

import hashlib
import logging

from pydantic import ValidationError

from mnist_pipeline.errors import IntegrityError
from mnist_pipeline.files import printable, read_json, sha256_file
from mnist_pipeline.scoring.job import ScoringJob
from mnist_pipeline.scoring.outputs import is_report, tidy
from mnist_pipeline.scoring.records import ScoreSummary
from mnist_pipeline.scoring.results import ShardResults
from mnist_pipeline.scoring.sources.listing import END, read_names
from mnist_pipeline.scoring.sources.reading import GONE, NOTHING, SIGNATURE, Reader, Signature, open_reader

logger = logging.getLogger(__name__)

KEPT_ERRORS = frozenset({"crashed", "timed out"})
"""Errors that stand although nothing was read."""


def is_current(results: ShardResults, reader: Reader) -> bool:
    """Whether every image is still the one that was scored."""
    return all(_is_same(results, row, reader) for row in range(len(results.names)))


def _is_same(results: ShardResults, row: int, reader: Reader) -> bool:
    seen = Signature(int(results.rows["size"][row]), int(results.rows["modified_ns"][row]))
    if seen == NOTHING:
        kind = results.errors.get(row, ("", ""))[0]
        return kind in KEPT_ERRORS or (kind in GONE and reader.signature(results.names[row]) is None)
    return reader.signature(results.names[row]) == seen


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
    logger.info("%s is complete and up to date", printable(job.output))
    tidy(outputs, (path.name for path in outputs.results.iterdir()) if keep else None)
    return summary


def _same_images(job: ScoringJob, summary: ScoreSummary) -> bool:
    reader = open_reader(job.source, job.settings.limits.bytes)
    listing, signatures = hashlib.sha256(), hashlib.sha256()
    with job.outputs.listing.open("rb") as file:
        for name in read_names(file):
            listing.update(name + END)
            signatures.update(SIGNATURE.pack(*(reader.signature(name) or NOTHING)))
    return (listing.hexdigest(), signatures.hexdigest()) == (summary.listing_sha256, summary.signatures_sha256)
