"""What one process of pytest-xdist makes for all of them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def shared_folder(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder of this session, which the first process that needs it makes, while others wait: only read it."""
    root = factory.getbasetemp()
    root = root.parent if root.name.startswith("popen-") else root
    folder = root / name
    with FileLock(root / f"{name}.lock"):
        if not (folder / "made").exists():
            folder.mkdir()
            make(folder)
            (folder / "made").touch()
    return folder
