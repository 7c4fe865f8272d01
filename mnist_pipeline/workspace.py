"""Every path that the program reads or writes, as properties. Nothing here touches the disk."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

MODEL_KERAS = "model.keras"
MODEL_ONNX = "model.onnx"
EVALUATION_JSON = "evaluation.json"
GATE_JSON = "gate.json"
REPORT_HTML = "report.html"
REPORT_MD = "report.md"
"""Files of a run that are known by name outside of it: in a published version, in lineage, in a report."""


class Below:
    """A path below that of its owner, as an attribute."""

    def __init__(self, *parts: str) -> None:
        self._parts = parts

    def __get__(self, owner: Any, _: type) -> Path:
        place: Path = owner.path
        return place.joinpath(*self._parts)


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """The files of one run."""

    path: Path

    config = Below("config.json")
    record = Below("run.json")
    """Which steps finished, with which inputs and files."""
    model_keras = Below(MODEL_KERAS)
    history = Below("history.json")
    live = Below("live.jsonl")
    """The curve of the training while it runs."""
    novelty_keras = Below("novelty.keras")
    """The network that knows what is no digit."""
    novelty = Below("novelty.json")
    """How that network was trained."""
    model_onnx = Below(MODEL_ONNX)
    parity = Below("parity.json")
    evaluation_json = Below(EVALUATION_JSON)
    evaluation_csv = Below("evaluation.csv")
    predictions = Below("predictions.npy")
    """float32 [test rows, classes]: the probabilities of the one prediction pass."""
    comparison = Below("comparison.json")
    """Candidate and champion on the same test images; absent where there is no champion."""
    gate = Below("gate.json")
    report_html = Below(REPORT_HTML)
    report_md = Below(REPORT_MD)

    @property
    def id(self) -> str:
        return self.path.name


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folder that holds datasets, runs and published models."""

    root: Path

    datasets = Below("datasets")
    downloads = Below("datasets", ".downloads")
    """Verified source files, by dataset name."""
    runs = Below("runs")
    checkpoints = Below("runs", ".checkpoints")
    """Unfinished trainings, by the digest of what they depend on."""
    models = Below("models")
    model_cache = Below(".cache", "models")
    """Versions that were downloaded from a remote registry, by digest."""
    labels = Below("labels")
    """Own labelled images."""
    locks = Below(".locks")

    @property
    def path(self) -> Path:
        return self.root

    def run(self, run_id: str) -> RunDirectory:
        return RunDirectory(self.runs / run_id)
