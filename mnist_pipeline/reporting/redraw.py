"""The report of a run, drawn again from its files."""

import logging
from pathlib import Path

from mnist_pipeline.errors import PipelineError
from mnist_pipeline.files.writing import check_writable, refusal
from mnist_pipeline.reporting.files import Report, write_report
from mnist_pipeline.runs.artifacts import FetchedDataset, PublishedModel
from mnist_pipeline.runs.run import Run

logger = logging.getLogger(__name__)


def draw_report(run: Run) -> Report:
    """Draw the report of an evaluated run again; without pictures where the dataset is gone.

    Where the workspace cannot be written, the report that is there stands.

    Raises:
        UsageError: the run has not been evaluated.
        PipelineError: the workspace cannot be written, and no report is there.
    """
    try:
        check_writable(run.directory.path)
    except OSError as error:
        return _drawn_report(run, error)
    published = run.peek(PublishedModel)
    model, version = (published.model, published.version) if published else (None, None)
    report = write_report(run.directory, dataset_folder(run), model=model, version=version)
    if published:
        run.replace(published.model_copy(update={"files": published.files | report.files}))
    return report


def _drawn_report(run: Run, error: OSError) -> Report:
    """The report as it was drawn, because it cannot be drawn again."""
    if not run.directory.report_html.is_file():
        raise refusal(error, run.workspace.root) from error
    logger.warning("this is the report as it was: %s cannot be written (%s)", run.directory.path, error.strerror)
    return Report(directory=run.directory.path, files=Report.digests(run.directory.report_html))


def dataset_folder(run: Run) -> Path | None:
    """The folder of the run's dataset; None where it is gone or damaged."""
    try:
        return run.output(FetchedDataset).directory
    except PipelineError:
        return None
