"""What a run shows in the Prefect UI: tables, pictures, links, and progress while it trains."""

import base64
from dataclasses import replace
from pathlib import Path

from prefect.artifacts import (
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)

from flows.progress import Bar
from mnist_pipeline.evaluation.schema import Evaluation
from mnist_pipeline.progress import Progress
from mnist_pipeline.runs.record import Summary
from mnist_pipeline.runs.run import Run
from mnist_pipeline.runs.training_history import TrainingHistory
from mnist_pipeline.workspace import RunDirectory


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


def showing_training(run: Run) -> Run:
    """The run, whose training shows a progress artifact and a table of its epochs besides."""
    bar = Bar("training-progress")
    epochs: dict[str, dict[str, float | str]] = {}

    def show(progress: Progress) -> None:
        run.report_progress(progress)
        epochs[progress.activity] = {"epoch": progress.activity, **progress.metrics}
        if bar.is_due:
            share = progress.done / progress.total if progress.total else 0.0
            bar.show(share if progress.overall is None else progress.overall, progress.activity)
            create_table_artifact(list(epochs.values()), key="learning-curve", description=run.directory.id)

    return replace(run, report_progress=show)


def _data_uri(picture: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()
