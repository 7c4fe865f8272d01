"""Names of files: as text that can be written anywhere, and of what is written beside a file."""

import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

NAME_BYTES = 255
"""Of the longest name that file systems take (NAME_MAX)."""
STEM_BYTES = 160
"""What is kept of a name that would become too long; leaves room for a digest and whatever is added."""


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
