"""The rows of one scored shard, and the file that holds them: whole and unaltered, or refused."""

import errno
import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.files import temporary_sibling
from mnist_pipeline.rejection.answers import ERROR, REASON_NAMES, ConfidenceThreshold
from mnist_pipeline.rejection.rule import apply_threshold, confidences
from mnist_pipeline.scoring.sources.reading import GONE, NOTHING, Reader, Signature

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
MAGIC = b"mnist-pipeline results 2\n"
DIGEST_BYTES = 32
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Error numbers of a disk that is full, or may not be filled further."""
KEPT_ERRORS = frozenset({"crashed", "timed out"})
"""Errors that stand although nothing was read."""


@dataclass(frozen=True)
class ShardResults:
    """The rows of one shard.

    Attributes:
        names: as in the listing.
        rows: `ROW` [n].
        errors: row -> (kind, message), for the rows with status error.
        provider: the onnxruntime provider that ran; "" where the model was not asked.
    """

    names: tuple[bytes, ...]
    rows: NDArray[np.void]
    errors: dict[int, tuple[str, str]] = field(default_factory=dict)
    provider: str = ""

    def judged(self, threshold: ConfidenceThreshold) -> "ShardResults":
        """With every answer that is not sure, or to a strange image, turned into ``no_digit``: as they are written."""
        return replace(self, rows=apply_threshold(self.rows, threshold))

    @cached_property
    def probabilities(self) -> NDArray[np.float32]:
        """float32 [n, 10]."""
        return np.ascontiguousarray(self.rows["probabilities"])

    @cached_property
    def digits(self) -> NDArray[np.int64]:
        """int64 [n]: the most probable class of each row, whatever became of it."""
        found: NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return found

    @cached_property
    def confidences(self) -> NDArray[np.float32]:
        """float32 [n]: `rule.confidences`."""
        return confidences(self.rows)

    @cached_property
    def answered(self) -> NDArray[np.bool_]:
        """Which rows, bool [n]: the model was asked, so that there is a most probable digit."""
        found: NDArray[np.bool_] = (self.rows["status"] != ERROR) & self.probabilities.any(axis=1)
        return found

    def reasons(self) -> list[str]:
        """Of each row: why it is ``no_digit``, or the kind of its error, or ""."""
        found = [REASON_NAMES[reason] for reason in self.rows["reason"].tolist()]
        for row, (kind, _) in self.errors.items():
            found[row] = kind
        return found

    def sentence(self, row: int) -> str:
        """What is wrong with a row, or ""."""
        return ": ".join(self.errors[row]) if row in self.errors else ""


def write_results(path: Path, results: ShardResults) -> None:
    """Store the rows under ``path``, in one step. Equal rows give equal bytes."""
    names = b"\0".join(results.names)
    rows = results.rows.tobytes()
    errors = {str(row): list(results.errors[row]) for row in sorted(results.errors)}
    header = {"images": len(results.names), "names": len(names), "errors": errors, "provider": results.provider}
    body = MAGIC + json.dumps(header, ensure_ascii=True).encode() + b"\n" + names + rows
    temporary = temporary_sibling(path)
    try:
        # Not flushed to the disk: a crash of the process does not lose it, and after a power cut the digest tells.
        temporary.write_bytes(body + hashlib.sha256(body).digest())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_results(path: Path, images: int | None = None) -> ShardResults | None:
    """The rows stored under ``path``; None where they are missing, not whole, or not of so many images."""
    try:
        stored = path.read_bytes()
    except OSError:
        return None
    body, digest = stored[:-DIGEST_BYTES], stored[-DIGEST_BYTES:]
    if not body.startswith(MAGIC) or hashlib.sha256(body).digest() != digest:
        return None
    end = body.index(b"\n", len(MAGIC))
    header = json.loads(body[len(MAGIC) : end])
    if images is not None and header["images"] != images:
        return None
    start = end + 1 + header["names"]
    names = tuple(body[end + 1 : start].split(b"\0")) if header["images"] else ()
    errors = {int(row): (kind, message) for row, (kind, message) in header["errors"].items()}
    return ShardResults(names, np.frombuffer(body[start:], ROW).copy(), errors, header["provider"])


def is_current(results: ShardResults, reader: Reader) -> bool:
    """Whether every image is still the one that was scored."""
    return all(_is_same(results, row, reader) for row in range(len(results.names)))


def _is_same(results: ShardResults, row: int, reader: Reader) -> bool:
    seen = Signature(int(results.rows["size"][row]), int(results.rows["modified_ns"][row]))
    if seen == NOTHING:
        kind = results.errors.get(row, ("", ""))[0]
        return kind in KEPT_ERRORS or (kind in GONE and reader.signature(results.names[row]) is None)
    return reader.signature(results.names[row]) == seen
