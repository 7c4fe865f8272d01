"""`registry.lookup` for commands: loaded when one runs, not for ``--help``."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mnist_pipeline.registry import Registry


def find_registry(workspace: Path, location: str | None) -> "Registry":
    """As `registry.lookup.find_registry`."""
    from mnist_pipeline.registry import lookup

    return lookup.find_registry(workspace, location)


def find_model(workspace: Path, location: str | None, name: str | None) -> "tuple[Registry, str]":
    """The registry, and the model in it that is meant, as `registry.lookup.pick_model` says."""
    from mnist_pipeline.registry.lookup import pick_model

    registry = find_registry(workspace, location)
    return registry, pick_model(registry, name)
