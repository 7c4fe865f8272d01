"""What scoring knows of an image, of a shard and of a whole job, as frozen values."""

import os
from pathlib import Path
from typing import Literal, Self

import numpy as np

from mnist_pipeline import Device, PreprocessMode
from mnist_pipeline.rejection.answers import ConfidenceThreshold
from mnist_pipeline.schema import Record

ROW = np.dtype(
    [
        ("status", "u1"),
        ("reason", "u1"),
        ("probabilities", "<f4", (10,)),
        ("novelty", "<f4"),
        ("size", "<i8"),
        ("modified_ns", "<i8"),
        ("sha256", "V32"),
    ]
)
"""One image.

``reason`` is that of ``no_digit``; where ``status`` is ``ok``, it is why it would be none if its novelty were above
the limit. ``probabilities`` are zero where the model was not asked; ``novelty`` is the log-odds that it is none of the
classes, minus infinity where that was not asked; ``size`` (bytes), ``modified_ns`` and ``sha256`` are those of the
bytes that were scored, zero where none were read.
"""


class Location(Record):
    """Where names lead to.

    Attributes:
        kind: "folder": names are below ``root`` and links are not followed; "list": names are paths, relative
            ones start at ``root``; "prefix": names are keys below the URL ``root``.
        root: absolute path or URL.
    """

    kind: Literal["folder", "list", "prefix"]
    root: str

    @classmethod
    def of(cls, folder: str) -> Self:
        """What a user names: a folder, or a URL such as s3://bucket/prefix."""
        if "://" in folder:
            return cls(kind="prefix", root=folder)
        return cls(kind="folder", root=os.path.realpath(folder))  # and no error where links lead in a circle


class Limits(Record):
    """What one image may cost at most."""

    pixels: int
    bytes: int
    seconds: float


class ScoringSettings(Record):
    """All that the rows of a shard depend on, but for the images."""

    location: Location
    model: Path
    model_sha256: str
    device: Device
    preprocess: PreprocessMode
    preprocessing_version: str
    limits: Limits


class Shard(Record):
    """A run of consecutive names of a listing, and where its rows are to be stored.

    ``key`` is a digest of the names and of the settings: equal keys, equal rows, as long as no image changes.
    """

    index: int
    listing: Path
    offset: int
    """First byte in the listing."""
    length: int
    """Bytes in the listing."""
    images: int
    key: str
    part: Path
    """The file that holds the shard's rows once it is scored."""
    settings: ScoringSettings


class Section(Record):
    """Consecutive shards of a listing: what one task scores. It holds where the names are, not the names."""

    first_shard: int
    listing: Path
    offset: int
    """First byte in the listing."""
    length: int
    """Bytes in the listing."""
    images: int
    shards: int
    shard_images: int
    """Images per shard, on average."""
    parts: Path
    """Folder of the files with the shards' rows."""
    settings: ScoringSettings


class ScoredSection(Record):
    """What became of a section: the rows of all its shards are stored."""

    images: int
    reused: int
    """Images whose rows were there already."""


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
    seconds: float
    images_per_second: float
    """Of the images scored by this job, over its whole duration."""
