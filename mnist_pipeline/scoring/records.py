"""What scoring knows of an image, of a shard and of a whole job, as frozen values."""

import os
from pathlib import Path
from typing import Literal, NamedTuple, Self

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

``reason`` is that of ``no_digit``; where ``status`` is ``ok``, it is why it would be ``no_digit`` if its novelty were
above the limit. ``probabilities`` are zero where the model was not asked; ``novelty`` is the log-odds that it is none
of the classes, minus infinity where that was not asked; ``size`` (bytes), ``modified_ns`` and ``sha256`` are those of
the bytes that were scored, zero where none were read.
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


class Shard(NamedTuple):
    """A run of consecutive names of a listing.

    Attributes:
        number: its place among the shards.
        offset: first byte of its names in the listing.
        length: bytes of them.
        images: how many names they are.
        key: hex digest of the names and of the settings: equal keys, equal rows, as long as no image changes.
    """

    number: int
    offset: int
    length: int
    images: int
    key: str


class ShardRange(Record):
    """Consecutive shards of a job: what one task scores. It holds where they are, not the names."""

    first: int
    count: int
    images: int
    """In all of them."""


class Plan(Record):
    """What a job is to do, once its images are listed. The names themselves are on disk."""

    shards: ShardRange
    """All of them."""
    skipped: dict[str, int]
    unreadable_folders: list[str]
    started: float
    """`time.monotonic` of the process that planned it."""


class Work(Record):
    """How shards were scored."""

    reused: int = 0
    """Images whose rows were there already."""
    processes: frozenset[str] = frozenset()
    """Those that scored any, each as HOST:PID."""

    def __add__(self, other: "Work") -> "Work":
        return Work(reused=self.reused + other.reused, processes=self.processes | other.processes)


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
