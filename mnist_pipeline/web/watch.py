"""What a run left on disk so far, for its page."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError

from mnist_pipeline.data.dataset import Dataset, Split
from mnist_pipeline.errors import PipelineError
from mnist_pipeline.evaluation.schema import Evaluation, Verdict
from mnist_pipeline.files import read_json
from mnist_pipeline.reporting.view import png_data_uri
from mnist_pipeline.runs.artifacts import STEPS, FetchedDataset
from mnist_pipeline.runs.live import Begin, read_live
from mnist_pipeline.runs.record import RunRecord
from mnist_pipeline.runs.run import Run
from mnist_pipeline.runs.training_history import Layer, TrainingHistory
from mnist_pipeline.workspace import Workspace

RUN_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,63}")
EXAMPLES = 20
DIGITS = 50
MISTAKES = 20
RecordT = TypeVar("RecordT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Picture:
    """An image with what it is, and what was read."""

    source: str
    true: str
    predicted: str | None = None

    @property
    def wrong(self) -> bool:
        return self.predicted is not None and self.predicted != self.true


@dataclass(frozen=True, slots=True)
class WatchedRun:
    """A run as its files tell it; what is not there yet is None or empty."""

    run: Run
    record: RunRecord
    config: dict[str, Any]
    history: TrainingHistory | None
    begin: Begin | None
    evaluation: Evaluation | None
    verdict: Verdict | None
    examples: list[Picture]
    digits: list[Picture]
    mistakes: list[Picture]

    @property
    def is_live(self) -> bool:
        """It has not ended, as far as its record says."""
        return self.record.finished is None

    @property
    def layers(self) -> list[Layer]:
        if self.history:
            return self.history.layers
        return self.begin.layers if self.begin else []

    @property
    def doing(self) -> str | None:
        """The step that is under way."""
        return next((step for step in STEPS if step not in self.record.steps), None) if self.is_live else None

    @property
    def preset(self) -> str:
        return str(self.config.get("training", {}).get("preset", ""))

    @property
    def has_report(self) -> bool:
        return self.run.directory.report_html.is_file()


def read_run(run: Run) -> WatchedRun:
    """All that its page shows."""
    files = run.directory
    evaluation = _read(files.evaluation_json, Evaluation)
    data = _dataset(run)
    return WatchedRun(
        run=run,
        record=run.record,
        config=_config(files.config),
        history=_read(files.history, TrainingHistory),
        begin=_begin(files.live),
        evaluation=evaluation,
        verdict=_read(files.gate, Verdict),
        examples=_evenly(data.train, EXAMPLES, data.class_names) if data else [],
        digits=list(_read_digits(run, data, evaluation)) if data and evaluation else [],
        mistakes=_mistakes(data, evaluation) if data and evaluation else [],
    )


def find_run(workspace: Path, run_id: str) -> Run | None:
    """The run of this name; None where there is none that can be read."""
    found = Workspace(workspace)
    run = Run(found, found.run(run_id))
    try:
        return run if RUN_ID.fullmatch(run_id) and run.record else None
    except (OSError, ValidationError):
        return None


def _read(path: Path, kind: type[RecordT]) -> RecordT | None:
    try:
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def _config(path: Path) -> dict[str, Any]:
    try:
        return dict(read_json(path))
    except (OSError, PipelineError):
        return {}


def _begin(live: Path) -> Begin | None:
    lines, _ = read_live(live)
    return next((Begin.model_validate(line["begin"]) for line in lines if "begin" in line), None)


def _dataset(run: Run) -> Dataset | None:
    try:
        fetched = run.peek(FetchedDataset)
        return Dataset.open(fetched.directory) if fetched else None
    except (PipelineError, OSError):
        return None


def _evenly(split: Split, count: int, names: tuple[str, ...] | list[str]) -> list[Picture]:
    rows = np.unique(np.linspace(0, len(split) - 1, count).astype(int))
    return [Picture(png_data_uri(np.array(split.images[row])), names[int(split.labels[row])]) for row in rows]


def _read_digits(run: Run, data: Dataset, evaluation: Evaluation) -> Iterator[Picture]:
    """Ordinary test digits and what was read: evenly chosen, neither the best nor the worst."""
    try:
        predicted = np.load(run.directory.predictions, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return
    if len(predicted) != len(data.test):
        return
    for row in np.unique(np.linspace(0, len(data.test) - 1, DIGITS).astype(int)):
        names = evaluation.class_names
        true, read = names[int(data.test.labels[row])], names[int(predicted[row].argmax())]
        yield Picture(png_data_uri(np.array(data.test.images[row])), true, read)


def _mistakes(data: Dataset, evaluation: Evaluation) -> list[Picture]:
    names = evaluation.class_names
    return [
        Picture(png_data_uri(np.array(data.test.images[one.row])), names[one.true], names[one.predicted])
        for one in evaluation.mistakes[:MISTAKES]
        if one.row < len(data.test)
    ]
