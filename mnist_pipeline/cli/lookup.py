"""`registry.lookup` for commands: loaded when one runs, not for ``--help``."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mnist_pipeline.registry import Registry


def find_registry(workspace: Path, location: str | None) -> "Registry":
    """As `registry.lookup.find_registry`."""
    from mnist_pipeline.registry import lookup

    return lookup.find_registry(workspace, location)


def pick_model(registry: "Registry", name: str | None) -> str:
    """As `registry.lookup.pick_model`."""
    from mnist_pipeline.registry import lookup

    return lookup.pick_model(registry, name)
