"""The fetch step: a dataset from its source, or from what an earlier fetch left, as files on disk."""

import logging

from mnist_pipeline.config import FetchConfig
from mnist_pipeline.data.description import DatasetDescription, load_description
from mnist_pipeline.data.digits import load_embedded_digits
from mnist_pipeline.data.store import open_stored, store_dataset
from mnist_pipeline.outputs import FetchedDataset
from mnist_pipeline.progress import ReportProgress, no_progress
from mnist_pipeline.workspace import Workspace

_logger = logging.getLogger(__name__)


def fetch_dataset(
    config: FetchConfig, workspace: Workspace, report_progress: ReportProgress = no_progress
) -> FetchedDataset:
    """The dataset that ``config`` names, decoded into the workspace."""
    description = load_description(config.dataset)
    return _fetch_embedded(description, workspace, report_progress)


def _fetch_embedded(
    description: DatasetDescription, workspace: Workspace, report_progress: ReportProgress
) -> FetchedDataset:
    images, labels = load_embedded_digits()
    folder = store_dataset(
        workspace.datasets,
        description,
        [images],
        labels,
        source=description.source,
        source_files=[],
        report_progress=report_progress,
    )
    return open_stored(folder)[1]
