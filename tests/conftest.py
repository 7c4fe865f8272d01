"""Fixtures that several rooms share."""

import pytest

from mnist_pipeline.config import FetchConfig
from mnist_pipeline.data.fetch import fetch_dataset
from mnist_pipeline.outputs import FetchedDataset
from mnist_pipeline.workspace import Workspace


@pytest.fixture(scope="session")
def digits_dataset(tmp_path_factory: pytest.TempPathFactory) -> FetchedDataset:
    """The embedded digits (1,437 train and 360 test rows of real handwriting), fetched once a session.

    Its folder lies in a workspace of its own: read it, do not write to it.
    """
    workspace = Workspace(tmp_path_factory.mktemp("digits-workspace"))
    return fetch_dataset(FetchConfig(dataset="digits"), workspace)
