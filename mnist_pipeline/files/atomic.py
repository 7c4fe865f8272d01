"""Bytes on disk: digests, and files and folders that appear under their names in one step, whole."""

import codecs
import errno
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from mnist_pipeline.errors import IntegrityError

CANNOT_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF, errno.EACCES}
"""What file systems answer that cannot flush a folder, and folders that may be written but not read."""
NAME_BYTES = 255
"""Of the longest name that file systems take (NAME_MAX)."""
STEM_BYTES = 160
"""What is kept of a name that would become too long; leaves room for a digest and whatever is added."""


def sha256_bytes(data: bytes | memoryview) -> str:
    """Hex SHA-256 of ``data``."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of the file's bytes, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def printable(path: str | os.PathLike[str]) -> str:
    r"""The path as text that every encoding takes that has its letters: bytes that are not UTF-8 become ``\xNN``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def sibling(path: Path, before: str, after: str) -> Path:
    """The path with its name between ``before`` and ``after`` (at most 70 bytes).

    Where that would be longer than names can be, the end of the name gives way to a digest of the whole.
    """
    if len(os.fsencode(before + path.name + after)) <= NAME_BYTES:
        return path.with_name(f"{before}{path.name}{after}")
    return path.with_name(f"{before}{_short(path.name)}{after}")


def _short(name: str) -> str:
    stem = os.fsencode(name)[:STEM_BYTES].decode(errors="ignore")
    return f"{stem}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}"


def temporary_sibling(path: Path) -> Path:
    """A name beside ``path`` that no other writer uses; hidden, so that listings pass over it."""
    return sibling(path, ".", f".{os.getpid()}-{secrets.token_hex(4)}.tmp")


def leftovers(path: Path) -> Iterator[Path]:
    """The temporary siblings of ``path`` that are there: those of killed writers, where no other one can be."""
    names = "|".join(map(re.escape, (path.name, _short(path.name))))
    pattern = re.compile(rf"\.({names})\.[0-9]+-[0-9a-f]{{8}}\.tmp")
    with os.scandir(path.parent) as entries:
        found = [entry.name for entry in entries if pattern.fullmatch(entry.name)]
    return (path.with_name(name) for name in found)


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


@contextmanager
def scratch_folder(parent: Path, name: str) -> Iterator[Path]:
    """A new hidden folder in ``parent``; if it is still there at the end, it is removed."""
    parent.mkdir(parents=True, exist_ok=True)
    scratch = temporary_sibling(parent / name)
    scratch.mkdir()
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def remove_leftovers(parent: Path, name: str) -> None:
    """Remove what writers of ``name`` that were killed left in ``parent``. Call it where no other writer can be."""
    if not parent.is_dir():
        return
    pattern = re.compile(rf"\.{re.escape(name)}(-[0-9a-f]{{12}})?\.[0-9]+-[0-9a-f]{{8}}\.tmp")
    for entry in parent.iterdir():
        if pattern.fullmatch(entry.name):
            shutil.rmtree(entry, ignore_errors=True)


def replace_folder(new: Path, final: Path) -> None:
    """Give the finished folder ``new`` its name, in place of a folder that may bear it."""
    sync_directory(new)
    if final.exists():
        # Its name goes away in one step, then its content: nobody sees half of it.
        old = temporary_sibling(final)
        final.replace(old)
        shutil.rmtree(old)
    new.rename(final)
    sync_directory(final.parent)
