"""One scoring job, as a frozen value: whoever has it, on whatever machine, does the same work.

What else there is to know of a job is derived: where it writes, and what its rows depend on.
"""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from mnist_pipeline.files import canonical_json, printable, sha256_bytes
from mnist_pipeline.rejection.answers import ConfidenceThreshold
from mnist_pipeline.rejection.model import ScoringModel
from mnist_pipeline.rejection.rule import choose_threshold
from mnist_pipeline.runs.fingerprint import ONNXRUNTIME, Sources
from mnist_pipeline.scoring.config import ScoreConfig
from mnist_pipeline.scoring.outputs import Outputs
from mnist_pipeline.scoring.sources.reading import Location

SOURCES = Sources(
    ("imaging", "inference", "rejection", "scoring"),
    ("numpy", "opencv-python-headless", "pillow", "onnx", *ONNXRUNTIME),
)
"""What an image's row depends on, besides its bytes and the settings: who decodes it and who classifies it."""


@cache
def preprocessing_version() -> str:
    """Changes where the code or a package changes that an image's row depends on."""
    return f"1-{sha256_bytes(canonical_json(SOURCES.fingerprint()))[:12]}"


@dataclass(frozen=True, slots=True)
class ScoringJob:
    """Images to score, and how.

    Attributes:
        config: how they are preprocessed and answered.
        source: where they are.
        model: that answers; its path is absolute.
        outputs: what is written, and where.
        preprocessing_version: of the machine that planned the job; other versions may give other rows.
    """

    config: ScoreConfig
    source: Location
    model: ScoringModel
    outputs: Outputs
    preprocessing_version: str

    @classmethod
    def of(
        cls,
        config: ScoreConfig,
        source: Location,
        model: ScoringModel,
        output: Path,
        report: Path | None = None,
        review: Path | None = None,
    ) -> "ScoringJob":
        """A job of this machine, with paths as a user names them."""
        model = replace(model, path=model.path.absolute())
        return cls(config, source, model, Outputs.of(output, report, review), preprocessing_version())

    @property
    def max_pixels(self) -> int:
        """Of the largest image that is decoded."""
        return int(self.config.max_megapixels * 1e6)

    @property
    def max_bytes(self) -> int:
        """Of the largest file that is read."""
        return int(self.config.max_megabytes * 1e6)

    @property
    def key(self) -> str:
        """Hex digest of all that its rows depend on, but for the images."""
        return sha256_bytes(
            canonical_json(
                {
                    "location": self.source.model_dump(),
                    "model": str(self.model.path),
                    "model_sha256": self.model.sha256,
                    "device": self.config.device,
                    "preprocess": self.config.preprocess,
                    "preprocessing_version": self.preprocessing_version,
                    "limits": [self.max_pixels, self.max_bytes, float(self.config.image_seconds)],
                }
            )
        )

    @property
    def threshold(self) -> ConfidenceThreshold:
        """Below which answers are ``no_digit``."""
        return choose_threshold(self.config.min_confidence, self.model)

    @property
    def recipe(self) -> dict[str, object]:
        """The fields of a manifest that say how its output was made."""
        return {
            "location": f"{self.source.kind}:{printable(self.source.root)}",
            "model": printable(self.model.path),
            "model_version": self.model.version,
            "model_sha256": self.model.sha256,
            "preprocess": self.config.preprocess,
            "preprocessing_version": self.preprocessing_version,
            "threshold": self.threshold.model_dump(mode="json"),
            "probabilities": self.config.probabilities,
        }
