"""Bytes on disk: digests, and writes that are whole or did not happen."""

import codecs
import errno
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from mnist_pipeline.errors import IntegrityError
from mnist_pipeline.files.names import temporary_sibling

CANNOT_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF, errno.EACCES}
"""What file systems answer that cannot flush a folder, and folders that may be written but not read."""


def sha256_bytes(data: bytes | memoryview) -> str:
    """Hex SHA-256 of ``data``."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of the file's bytes, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def open_atomic(path: Path) -> Iterator[BinaryIO]:
    """A binary file that appears at ``path``, flushed to disk, when the block ends without an error.

    The parent folder is created. If the block raises, nothing is left and an existing
    file stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_sibling(path)
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):  # why it could not be written tells more than why nothing can be removed
            temporary.unlink()
        if isinstance(error, OSError) and error.filename == os.fspath(temporary):
            error.filename = os.fspath(path)
        raise
    sync_directory(path.parent)


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path``, whole or not at all."""
    with open_atomic(path) as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 to ``path``, whole or not at all."""
    write_bytes(path, text.encode())


def decode_text(data: bytes) -> str:
    """The text of a file that a person wrote: UTF-8, or UTF-16 with its byte order mark; without the mark.

    Raises:
        ValueError: it is neither.
    """
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    return data.decode(encoding)


def render_json(value: Any) -> str:
    """``value`` as indented JSON with a final newline; NaN and infinity are refused (RFC 8259)."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def canonical_json(value: Any) -> bytes:
    """``value`` as JSON bytes that are equal for equal values: sorted keys, no spaces.

    Paths that are not UTF-8 are their own bytes.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode(errors="surrogateescape")


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as JSON to ``path``, whole or not at all."""
    write_text(path, render_json(value))


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in the file.

    Raises:
        OSError: the file cannot be read.
        IntegrityError: it does not hold a JSON object.
    """
    try:
        found = json.loads(path.read_bytes())
        if isinstance(found, dict):
            return found
        problem = "it holds no JSON object"
    except (ValueError, RecursionError) as error:
        problem = str(error)
    raise IntegrityError(f"{path} is damaged ({problem}); restore it from a copy, or do its step again")


def sync_directory(directory: Path) -> None:
    """Flush the folder's entries, so that a rename in it survives a power cut; where the system can do that."""
    if os.name != "posix":
        return
    try:
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in CANNOT_SYNC:
            raise
