"""What to add: a folder with a folder per class, or a table of paths and labels."""

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from mnist_pipeline import DIGIT_NAMES, NO_DIGIT
from mnist_pipeline.errors import UsageError
from mnist_pipeline.labels.store import NewImage
from mnist_pipeline.scoring.sources.listing import Skipped, scan_folder

Named = TypeVar("Named")
LABELS = {NO_DIGIT: NO_DIGIT} | {
    said: str(n) for n, name in enumerate(DIGIT_NAMES) for said in (str(n), name.casefold())
}
"""What people write, without regard to case -> the label."""


def find_images(source: Path) -> Iterator[NewImage]:
    """The images of a folder of class folders, or of a table ``path,label``; read as they are asked for.

    Raises:
        UsageError: there is no such folder or table, it names no image, or a label in it is not valid.
    """
    if source.is_dir():
        return _of_folder(source, _require(source, _listed(source)))
    if source.is_file():
        return _of_table(source, _require(source, _rows(source)))
    raise UsageError(f"{source}: there is no such folder, and no such table (path,label)")


def _require(source: Path, found: list[Named]) -> list[Named]:
    if not found:
        raise UsageError(f"{source} names no image; give a folder for each class (0 to 9, none), or a table path,label")
    return found


def parse_label(text: str) -> str | None:
    """``0`` to ``9`` or `NO_DIGIT`, from a digit, its English name or ``none``; None where it is something else."""
    return LABELS.get(text.strip().casefold())


def _listed(folder: Path) -> list[tuple[str, bytes]]:
    """Label and name of each file, sorted by name; every folder is looked at before anything is read."""
    found: list[tuple[str, bytes]] = []
    for place in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        if (label := parse_label(place.name)) is None:
            raise UsageError(
                f"{folder}: the folder {place.name!r} is no class; name it as one of 0 to 9, Zero to Nine, or none"
            )
        found += [
            (label, os.fsencode(place.name) + b"/" + name)
            for name in sorted(scan_folder(place, frozenset(), Skipped()))
        ]
    return found


def _of_folder(folder: Path, listed: list[tuple[str, bytes]]) -> Iterator[NewImage]:
    for label, name in listed:
        yield _read(folder / os.fsdecode(name), os.fsdecode(name), label)


def _rows(table: Path) -> list[tuple[str, str]]:
    """Path and label of each row."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{table} is no table in UTF-8 with the columns path,label ({error})") from error
    found = []
    for number, row in enumerate(rows, 2):
        path, label = row.get("path"), parse_label(row.get("label") or "")
        if not path or label is None:
            raise UsageError(
                f"{table} line {number}: give a path and a label (0 to 9, or none); found label {row.get('label')!r}"
            )
        found.append((path, label))
    return found


def _of_table(table: Path, rows: list[tuple[str, str]]) -> Iterator[NewImage]:
    for path, label in rows:
        yield _read(table.parent / path, path, label)


def _read(path: Path, name: str, label: str) -> NewImage:
    source = name.encode("utf-8", "backslashreplace").decode()
    try:
        return NewImage(source=source, data=path.read_bytes(), label=label)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
