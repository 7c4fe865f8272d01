"""Whether a dataset could be fetched now, without fetching it."""

from importlib.util import find_spec
from urllib.parse import urlsplit

from mnist_pipeline.config import FetchConfig
from mnist_pipeline.data.bucket import probe_object
from mnist_pipeline.data.description import DatasetDescription
from mnist_pipeline.data.download import probe_file
from mnist_pipeline.data.inspection import expected_files
from mnist_pipeline.data.local import read_local
from mnist_pipeline.data.locations import local_folder
from mnist_pipeline.data.retries import ANSWER_SECONDS, Timeouts
from mnist_pipeline.errors import DownloadError, PipelineError


def unreachable(description: DatasetDescription, config: FetchConfig) -> str | None:
    """Why the dataset's source cannot be read right now, in one line; None where it can.

    Asks once, for a few seconds at most, and reads no more than the head of an answer.
    """
    try:
        _probe(description, config)
    except PipelineError as error:
        return str(error)
    return None


def _probe(description: DatasetDescription, config: FetchConfig) -> None:
    if description.files is None:
        if find_spec("sklearn") is None:
            raise DownloadError("the embedded digits need scikit-learn; install 'mnist-pipeline[train]'")
        return
    source = config.source or description.source
    folder = local_folder(source)
    seconds = min(config.deadline, ANSWER_SECONDS)
    for expected in expected_files(description, description.files):
        if folder is not None:
            read_local(folder, expected)
        elif urlsplit(source).scheme == "s3":
            probe_object(source, expected.name, seconds)
        else:
            probe_file(source, expected.name, Timeouts.of(config), seconds)
