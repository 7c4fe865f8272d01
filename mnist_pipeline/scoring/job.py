"""One scoring job, as a frozen value: whoever has it, on whatever machine, does the same work.

What else there is to know of a job is derived: where it writes, and what its rows depend on.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mnist_pipeline.config import ScoreConfig
from mnist_pipeline.files import canonical_json, printable, sha256_bytes
from mnist_pipeline.rejection.answers import ConfidenceThreshold
from mnist_pipeline.rejection.model import ScoringModel
from mnist_pipeline.rejection.rule import choose_threshold
from mnist_pipeline.runs.fingerprint import ONNXRUNTIME, Sources
from mnist_pipeline.scoring.outputs import Outputs
from mnist_pipeline.scoring.records import Limits, Location, ScoringSettings

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
        model: that answers.
        output: .csv, .jsonl or .parquet, absolute; a manifest appears beside it.
        report: HTML page to write as well, absolute.
        preprocessing_version: of the machine that planned the job; other versions may give other rows.
        review: HTML sheet that people answer, absolute; whoever runs the job writes it, from the output.
    """

    config: ScoreConfig
    source: Location
    model: ScoringModel
    output: Path
    report: Path | None
    preprocessing_version: str
    review: Path | None = None

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
        page, sheet = (None if path is None else path.absolute() for path in (report, review))
        return cls(config, source, model, output.absolute(), page, preprocessing_version(), sheet)

    @property
    def outputs(self) -> Outputs:
        """Every path that it writes."""
        return Outputs(self.output, self.report, self.review)

    @property
    def settings(self) -> ScoringSettings:
        """What its rows depend on, beside the images."""
        return ScoringSettings(
            location=self.source,
            model=self.model.path.absolute(),
            model_sha256=self.model.sha256,
            device=self.config.device,
            preprocess=self.config.preprocess,
            preprocessing_version=self.preprocessing_version,
            limits=Limits(
                pixels=int(self.config.max_megapixels * 1e6),
                bytes=int(self.config.max_megabytes * 1e6),
                seconds=self.config.image_seconds,
            ),
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
            "model": printable(self.model.path.absolute()),
            "model_version": self.model.version,
            "model_sha256": self.model.sha256,
            "preprocess": self.config.preprocess,
            "preprocessing_version": self.preprocessing_version,
            "threshold": self.threshold.model_dump(mode="json"),
            "probabilities": self.config.probabilities,
        }
