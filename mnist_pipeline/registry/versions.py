"""What is known of a published version: its files, and its row in a list."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from mnist_pipeline.registry.manifest import MODEL_FILE, Manifest
from mnist_pipeline.schema import Record


@dataclass(frozen=True, slots=True)
class PublishedVersion:
    """One version of a model; every file in ``directory`` was hashed against the manifest."""

    manifest: Manifest
    directory: Path
    """Local folder with all files of the version."""

    @property
    def model(self) -> str:
        return self.manifest.model

    @property
    def version(self) -> str:
        return self.manifest.version

    @property
    def sha256(self) -> str:
        """Hex SHA-256 of model.onnx."""
        return self.manifest.sha256

    @property
    def path(self) -> Path:
        """model.onnx."""
        return self.directory / MODEL_FILE


class VersionSummary(Record):
    """A row of the list of versions."""

    version: str
    created: dt.datetime
    accuracy: float
    samples: int
    dataset: str
    preset: str
    run: str
    bytes: int
    """Size of model.onnx."""
    promoted: bool
    """The gate let it become champion when it was published; ``aliases`` tell whether it is."""
    aliases: list[str]
