"""A model together with the limits of its answers."""

from dataclasses import dataclass
from pathlib import Path

from mnist_pipeline.rejection.answers import ConfidenceThreshold


@dataclass(frozen=True, slots=True)
class ScoringModel:
    """The model that answers.

    Attributes:
        path: the ONNX file.
        sha256: its hex digest; other bytes are refused.
        version: its name in the registry, for the manifest.
        threshold: below which its answers are no digits, as measured when it was evaluated.
    """

    path: Path
    sha256: str
    version: str | None = None
    threshold: ConfidenceThreshold | None = None
