"""The file that holds the rows of one scored shard: whole and unaltered, or refused."""

import errno
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.files import temporary_sibling
from mnist_pipeline.scoring.records import ROW

MAGIC = b"mnist-pipeline results 2\n"
DIGEST_BYTES = 32
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Error numbers of a disk that is full, or may not be filled further."""


@dataclass(frozen=True, slots=True)
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
    """The rows stored under ``path``; None where there are none, not whole, or not of so many images."""
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
