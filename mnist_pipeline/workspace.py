"""Every path that the program reads or writes, as properties. Nothing here touches the disk."""

from dataclasses import dataclass
from pathlib import Path

MODEL_KERAS = "model.keras"
MODEL_ONNX = "model.onnx"
EVALUATION_JSON = "evaluation.json"
GATE_JSON = "gate.json"
REPORT_HTML = "report.html"
REPORT_MD = "report.md"
"""Files of a run that are known by name outside of it: in a published version, in lineage, in a report."""


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """The files of one run."""

    path: Path

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def config(self) -> Path:
        return self.path / "config.json"

    @property
    def record(self) -> Path:
        """Which steps finished, with which inputs and files."""
        return self.path / "run.json"

    @property
    def model_keras(self) -> Path:
        return self.path / MODEL_KERAS

    @property
    def history(self) -> Path:
        return self.path / "history.json"

    @property
    def novelty_keras(self) -> Path:
        """The network that knows what is no digit."""
        return self.path / "novelty.keras"

    @property
    def novelty(self) -> Path:
        """How that network was trained."""
        return self.path / "novelty.json"

    @property
    def model_onnx(self) -> Path:
        return self.path / MODEL_ONNX

    @property
    def parity(self) -> Path:
        return self.path / "parity.json"

    @property
    def evaluation_json(self) -> Path:
        return self.path / EVALUATION_JSON

    @property
    def evaluation_csv(self) -> Path:
        return self.path / "evaluation.csv"

    @property
    def predictions(self) -> Path:
        """float32 [test rows, classes]: the probabilities of the one prediction pass."""
        return self.path / "predictions.npy"

    @property
    def comparison(self) -> Path:
        """Candidate and champion on the same test images; absent where there is no champion."""
        return self.path / "comparison.json"

    @property
    def gate(self) -> Path:
        return self.path / GATE_JSON

    @property
    def report_html(self) -> Path:
        return self.path / REPORT_HTML

    @property
    def report_md(self) -> Path:
        return self.path / REPORT_MD


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folder that holds datasets, runs and published models."""

    root: Path

    @property
    def datasets(self) -> Path:
        return self.root / "datasets"

    @property
    def downloads(self) -> Path:
        """Verified source files, by dataset name."""
        return self.root / "datasets" / ".downloads"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def model_cache(self) -> Path:
        """Versions that were downloaded from a remote registry, by digest."""
        return self.root / ".cache" / "models"

    @property
    def checkpoints(self) -> Path:
        """Unfinished trainings, by the digest of what they depend on."""
        return self.root / "runs" / ".checkpoints"

    @property
    def locks(self) -> Path:
        return self.root / ".locks"

    def run(self, run_id: str) -> RunDirectory:
        return RunDirectory(self.runs / run_id)
