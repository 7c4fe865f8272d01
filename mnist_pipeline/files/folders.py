"""Folders that appear under their names in one step, whole."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mnist_pipeline.files.atomic import sync_directory
from mnist_pipeline.files.names import temporary_sibling


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
