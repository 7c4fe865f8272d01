"""What a run shows in the Prefect UI: tables, pictures, links, and progress while it trains."""

import base64
import time
from pathlib import Path
from typing import cast
from uuid import UUID

from prefect.artifacts import (
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from mnist_pipeline.evaluation.schema import Evaluation
from mnist_pipeline.progress import Progress, ReportProgress
from mnist_pipeline.runs.summary import Summary
from mnist_pipeline.runs.training_history import TrainingHistory
from mnist_pipeline.workspace import RunDirectory

UPDATE_SECONDS = 2.0


def show_run(run: RunDirectory, summary: Summary) -> None:
    """What a finished run has to show, from its files."""
    evaluation = Evaluation.model_validate_json(run.evaluation_json.read_bytes())
    history = TrainingHistory.model_validate_json(run.history.read_bytes())
    create_markdown_artifact(run.report_md.read_text("utf-8"), key="report", description=summary.status)
    create_table_artifact(
        [row.model_dump() for row in evaluation.per_class],
        key="per-class-accuracy",
        description=f"{evaluation.samples} test images of {summary.dataset}",
    )
    create_table_artifact(
        [epoch.model_dump(exclude={"seconds"}) for epoch in history.epochs],
        key="learning-curve",
        description=f"kept: {history.kept}",
    )
    for name in ("confusion_matrix", "learning_curves", "test_digits"):
        create_image_artifact(_data_uri(run.path / f"{name}.png"), key=name.replace("_", "-"), description=run.id)
    for key, path in (("published-model", summary.onnx), ("published-report", summary.report)):
        create_link_artifact(path.as_uri(), key=key, link_text=f"{summary.model} {summary.version}: {path.name}")


class TrainingProgress:
    """A progress artifact and a table of the epochs, updated at most every `UPDATE_SECONDS`.

    Args:
        run_id: for the descriptions.
        also: every report is passed on to it.
    """

    def __init__(self, run_id: str, also: ReportProgress) -> None:
        self._run_id = run_id
        self._also = also
        self._updated = time.monotonic()
        self._bar: UUID | None = None
        self._epochs: dict[str, dict[str, float | str]] = {}

    def __call__(self, progress: Progress) -> None:
        self._also(progress)
        self._epochs[progress.activity] = {"epoch": progress.activity, **progress.metrics}
        if time.monotonic() - self._updated >= UPDATE_SECONDS:
            self._updated = time.monotonic()
            self._update(progress)

    def _update(self, progress: Progress) -> None:
        share = progress.done / progress.total if progress.total else 0.0
        percent = 100 * (share if progress.overall is None else progress.overall)
        if self._bar is None:
            created = create_progress_artifact(percent, key="training-progress", description=self._run_id)
            self._bar = cast(UUID, created)  # typed for async callers as well
        else:
            update_progress_artifact(self._bar, progress=percent, description=progress.activity)
        create_table_artifact(list(self._epochs.values()), key="learning-curve", description=self._run_id)


def _data_uri(picture: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()
