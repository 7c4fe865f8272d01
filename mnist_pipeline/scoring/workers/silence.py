"""Decoders and numerical libraries write warnings that nobody can use."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def silenced() -> Iterator[None]:
    """What this process writes to its standard output or error in the block, native code included, goes nowhere."""
    kept = []
    for descriptor in (1, 2):
        with suppress(OSError):  # closed
            kept.append((descriptor, os.dup(descriptor)))
    with Path(os.devnull).open("wb") as nowhere:
        for descriptor, _ in kept:
            os.dup2(nowhere.fileno(), descriptor)
    try:
        yield
    finally:
        for descriptor, copy in kept:
            os.dup2(copy, descriptor)
            os.close(copy)
