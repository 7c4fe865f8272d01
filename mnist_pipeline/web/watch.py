"""What a run left on disk so far, for its page."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError

from mnist_pipeline.data.dataset import Dataset, Split
from mnist_pipeline.errors import PipelineError
from mnist_pipeline.evaluation.schema import Evaluation, Verdict
from mnist_pipeline.files import read_json
from mnist_pipeline.reporting.inputs import evenly, ordinary_rows
from mnist_pipeline.reporting.view import Digit, png_data_uri, read_digits
from mnist_pipeline.runs.artifacts import STEPS, FetchedDataset
from mnist_pipeline.runs.live import Begin, read_live
from mnist_pipeline.runs.record import RunRecord
from mnist_pipeline.runs.run import Run
from mnist_pipeline.runs.training_history import Layer, TrainingHistory
from mnist_pipeline.workspace import Workspace

RUN_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,63}")
EXAMPLES = 20
MISTAKES = 20
RecordT = TypeVar("RecordT", bound=BaseModel)


DOING: Mapping[str, str] = {
    "fetch": "The images are fetched, verified and decoded.",
    "train": "The network learns from the train images: the curves grow with each batch.",
    "novelty": "A second network learns what is no digit: some minutes with large presets.",
    "export": "Both networks become one ONNX file, which is shown to say the same.",
    "evaluate": "The model reads each test image once.",
    "publish": "The gate checks the model, and compares it with the champion.",
}
"""What happens in each step."""


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
    examples: tuple[Digit, ...]
    digits: tuple[Digit, ...]
    mistakes: tuple[Digit, ...]

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
    def under_way(self) -> float:
        """Seconds since the step that is under way began: since the last one was recorded."""
        return max(time.time() - self.run.directory.record.stat().st_mtime, 0.0)

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
    mistaken = [one.row for one in evaluation.mistakes[:MISTAKES]] if evaluation else []
    data = _dataset(run)
    return WatchedRun(
        run=run,
        record=run.record,
        config=_config(files.config),
        history=_read(files.history, TrainingHistory),
        begin=_begin(files.live),
        evaluation=evaluation,
        verdict=_read(files.gate, Verdict),
        examples=_examples(data.train, data.class_names) if data else (),
        digits=_read_digits(data.test, evaluation, ordinary_rows(evaluation)) if data and evaluation else (),
        mistakes=_read_digits(data.test, evaluation, mistaken) if data and evaluation else (),
    )


def find_run(workspace: Path, run_id: str) -> Run | None:
    """The run of this name; None where it cannot be read."""
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


def _examples(split: Split, names: Sequence[str]) -> tuple[Digit, ...]:
    return tuple(
        Digit(row, png_data_uri(np.array(split.images[row])), names[int(split.labels[row])], None)
        for row in evenly(len(split), EXAMPLES)
    )


def _read_digits(test: Split, evaluation: Evaluation, rows: Sequence[int]) -> tuple[Digit, ...]:
    """Test rows with what was read; none where the dataset is another one."""
    if len(test) != evaluation.samples:
        return ()
    images = {row: np.array(test.images[row]) for row in rows}
    return read_digits(evaluation, images, {row: int(test.labels[row]) for row in rows}, rows)
