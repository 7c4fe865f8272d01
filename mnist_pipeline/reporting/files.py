"""Reports and the disk: read what a run left, write what people look at.

Everything is read back from the files of the run, so that any old run can be drawn again.
"""

import logging
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError

from mnist_pipeline.data.dataset import Dataset
from mnist_pipeline.errors import IntegrityError, PipelineError, UsageError
from mnist_pipeline.evaluation.schema import Comparison, Evaluation, Verdict
from mnist_pipeline.files import read_json, sha256_bytes, sha256_file, write_bytes, write_text
from mnist_pipeline.files.writing import check_writable, refusal
from mnist_pipeline.inference.contract import ModelMetadata
from mnist_pipeline.reporting import plots
from mnist_pipeline.reporting.comparison import compare
from mnist_pipeline.reporting.html import render_comparison_html, render_html
from mnist_pipeline.reporting.inputs import CHANGES_SHOWN, ReportInputs, RunFacts, shown_rows
from mnist_pipeline.reporting.markdown import render_markdown
from mnist_pipeline.reporting.view import threshold
from mnist_pipeline.runs.artifacts import FetchedDataset, PublishedModel
from mnist_pipeline.runs.parity import Parity
from mnist_pipeline.runs.record import RunRecord
from mnist_pipeline.runs.run import Run
from mnist_pipeline.runs.training_history import TrainingHistory
from mnist_pipeline.schema import first_problem
from mnist_pipeline.workspace import REPORT_HTML, REPORT_MD, RunDirectory

logger = logging.getLogger(__name__)

RecordT = TypeVar("RecordT", bound=BaseModel)


def load_report_inputs(
    run: RunDirectory,
    dataset: Path | None,
    *,
    model: str | None = None,
    version: str | None = None,
) -> ReportInputs:
    """Everything that the report of a run shows, read from its files; of the images only those that are shown.

    Args:
        run: the run; evaluation.json, history.json and parity.json must be there. gate.json,
            comparison.json, run.json and config.json are told where they are.
        dataset: folder of the dataset that was evaluated; None where it is gone: no images then.
        model: name in the registry.
        version: the published version.

    Raises:
        UsageError: the run has not been evaluated.
        IntegrityError: a file is broken, or the files are not of one model and one dataset.
    """
    evaluation = _read(run.evaluation_json, Evaluation)
    parity = _read(run.parity, Parity)
    comparison = _read_if_there(run.comparison, Comparison)
    history = _read(run.history, TrainingHistory)
    if evaluation.model_sha256 != parity.model_sha256:
        raise IntegrityError(
            f"{run.evaluation_json} is about model {evaluation.model_sha256[:12]}, {run.parity} about "
            f"{parity.model_sha256[:12]}; run the evaluate step again"
        )
    opened = None if dataset is None else _open(dataset, evaluation, history)
    rows = [] if opened is None else shown_rows(evaluation, comparison)
    return ReportInputs(
        run=_facts(run, opened, model, version),
        evaluation=evaluation,
        history=history,
        parity=parity,
        verdict=_read_if_there(run.gate, Verdict),
        comparison=comparison,
        images={} if opened is None else {row: np.array(opened.test.images[row]) for row in rows},
        labels={} if opened is None else {row: int(opened.test.labels[row]) for row in rows},
        class_counts={} if opened is None else _class_counts(opened),
    )


def write_report(
    run: RunDirectory, dataset: Path | None, *, model: str | None = None, version: str | None = None
) -> dict[str, str]:
    """Draw the report of a run into its directory: report.html, report.md, and the plots as PNG and SVG.

    Each file is whole or not written at all. Arguments and errors are those of `load_report_inputs`.

    Returns:
        Name -> hex SHA-256 of every file.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    files = render_files(load_report_inputs(run, dataset, model=model, version=version))
    for name, data in files.items():
        write_bytes(run.path / name, data)
    return {name: sha256_bytes(data) for name, data in files.items()}


def draw_report(run: Run) -> Path:
    """Draw the report of an evaluated run again, without pictures where the dataset is gone; return its page.

    Where the workspace cannot be written, the report that is there stands.

    Raises:
        UsageError: the run has not been evaluated.
        PipelineError: the workspace cannot be written, and no report is there.
    """
    try:
        check_writable(run.directory.path)
    except OSError as error:
        if not run.directory.report_html.is_file():
            raise refusal(error, run.workspace.root) from error
        logger.warning("this is the report as it was: %s cannot be written (%s)", run.directory.path, error.strerror)
        return run.directory.report_html
    published = run.peek(PublishedModel)
    model, version = (published.model, published.version) if published else (None, None)
    files = write_report(run.directory, dataset_folder(run), model=model, version=version)
    if published:
        run.replace(published.model_copy(update={"files": published.files | files}))
    return run.directory.report_html


def dataset_folder(run: Run) -> Path | None:
    """The folder of the run's dataset; None where it is gone or damaged."""
    try:
        return run.output(FetchedDataset).directory
    except PipelineError:
        return None


def write_comparison(
    a: RunDirectory,
    b: RunDirectory,
    path: Path,
    datasets: tuple[Path | None, Path | None],
) -> Path:
    """Write the page that sets two runs side by side to ``path``, whole or not at all; return it.

    Args:
        a: one run.
        b: the other.
        path: the HTML file to write.
        datasets: what each was evaluated on, as `load_report_inputs` takes it.

    Errors are those of `write_report`.
    """
    inputs = (load_report_inputs(a, datasets[0]), load_report_inputs(b, datasets[1]))
    difference = compare(*inputs)
    changed = difference.fixed[:CHANGES_SHOWN], difference.broken[:CHANGES_SHOWN]
    shown = [_with_images(one, dataset, rows) for one, dataset, rows in zip(inputs, datasets, changed, strict=True)]
    write_text(path, render_comparison_html(*shown))
    return path


def _with_images(inputs: ReportInputs, dataset: Path | None, rows: Collection[int]) -> ReportInputs:
    """The inputs with the images of further rows; as they are where the dataset is not at hand."""
    if dataset is None:
        return inputs
    images = _open(dataset, inputs.evaluation, inputs.history).test.images
    return replace(inputs, images={**inputs.images, **{row: np.array(images[row]) for row in rows}})


def render_files(inputs: ReportInputs) -> dict[str, bytes]:
    """Name -> bytes of every file of a report."""
    evaluation, history = inputs.evaluation, inputs.history
    charts: dict[str, plots.Draw] = {
        "learning_curves": partial(plots.learning_curves, history),
        "confusion_matrix": partial(plots.confusion_matrix, evaluation),
        "reliability": partial(plots.reliability, evaluation),
        "coverage": partial(plots.coverage, evaluation, threshold(evaluation)),
    }
    if inputs.images:
        charts["test_digits"] = partial(plots.test_digits, inputs)
    files = {f"{name}.png": plots.to_png(draw) for name, draw in charts.items()}
    files |= {f"{name}.svg": plots.to_svg(draw, name).encode() for name, draw in charts.items()}
    return files | {REPORT_MD: render_markdown(inputs).encode(), REPORT_HTML: render_html(inputs).encode()}


def _read(path: Path, kind: type[RecordT]) -> RecordT:
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise UsageError(f"{path} is missing: only a run that was evaluated has a report") from error
    except ValidationError as error:
        raise IntegrityError(f"{path} is broken: {first_problem(error)}; run its step again") from error


def _read_if_there(path: Path, kind: type[RecordT]) -> RecordT | None:
    return _read(path, kind) if path.exists() else None


def _open(directory: Path, evaluation: Evaluation, history: TrainingHistory) -> Dataset:
    """The dataset, split as it was for the training, and surely the one that was evaluated."""
    rows = history.config.get("validation_rows", history.validation_rows)
    opened = Dataset.open(directory, train_rows=history.train_rows, validation_rows=rows)
    if opened.digest != evaluation.dataset_digest:
        raise IntegrityError(
            f"{directory} has dataset digest {opened.digest[:12]}, the run was evaluated on "
            f"{evaluation.dataset} {evaluation.dataset_digest[:12]}"
        )
    return opened


def _class_counts(dataset: Dataset) -> dict[str, tuple[int, ...]]:
    classes = len(dataset.class_names)
    labels = {
        "train": dataset.labels[dataset.train_rows],
        "validation": dataset.labels[dataset.validation_rows],
        "test": dataset.test.labels,
    }
    return {split: tuple(np.bincount(part, minlength=classes).tolist()) for split, part in labels.items()}


def _facts(run: RunDirectory, dataset: Dataset | None, model: str | None, version: str | None) -> RunFacts:
    config: Mapping[str, Any] = read_json(run.config) if run.config.is_file() else {}
    told = (run.config, run.history, run.parity, run.evaluation_json, run.predictions, run.comparison, run.gate)
    return RunFacts(
        run_id=run.id,
        record=_read_if_there(run.record, RunRecord),
        model=model,
        version=version,
        source=dataset.card.source if dataset else None,
        config=config,
        files={path.name: sha256_file(path) for path in told if path.is_file()},
        environment=_environment(run.model_onnx),
    )


def _environment(model: Path) -> dict[str, str]:
    """Versions of what trained and exported the model, as it carries them; not what is installed by now."""
    if not model.is_file():
        return {}
    from google.protobuf.message import DecodeError
    from onnx import load_model

    try:
        properties = load_model(model, load_external_data=False).metadata_props
    except DecodeError as error:
        raise IntegrityError(f"{model} is not a whole ONNX file; run the export step again") from error
    return ModelMetadata.from_props({entry.key: entry.value for entry in properties}).frameworks
