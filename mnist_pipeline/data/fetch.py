"""The fetch step: a dataset from its source, or from what an earlier fetch left, as files on disk.

Whoever holds the dataset's lock downloads and decodes it; the others wait and find it done.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from mnist_pipeline.config import FetchConfig
from mnist_pipeline.data.description import DatasetDescription, load_description
from mnist_pipeline.data.digits import load_embedded_digits
from mnist_pipeline.data.locations import show_source
from mnist_pipeline.data.retries import ANSWER_SECONDS, Deadline
from mnist_pipeline.data.sources import open_sprite
from mnist_pipeline.data.sprite import decode_labels, decode_sprite
from mnist_pipeline.data.store import dataset_folder, find_decoded, open_stored, store_dataset
from mnist_pipeline.errors import DownloadError, IntegrityError, MissingExtraError, PipelineError
from mnist_pipeline.files import remove_leftovers
from mnist_pipeline.files.locks import ProcessLock, is_held
from mnist_pipeline.files.writing import check_writable, refusal
from mnist_pipeline.progress import ReportProgress, no_progress
from mnist_pipeline.runs.artifacts import FetchedDataset
from mnist_pipeline.workspace import Workspace

_DECODING_SECONDS = 120.0
"""How much longer than its download another process's fetch may take."""
_logger = logging.getLogger(__name__)


def fetch_dataset(
    config: FetchConfig, workspace: Workspace, report_progress: ReportProgress = no_progress
) -> FetchedDataset:
    """The dataset that ``config`` names, decoded and verified in the workspace.

    Safe to call from many processes at once: one of them works, the others wait and reuse.

    Args:
        config: which dataset, from where, and how patiently.
        workspace: holds the decoded datasets and the downloaded files.
        report_progress: told of bytes while downloading and of images while decoding.

    Returns:
        The handle. ``reused``: it was there already. ``fallback``: the embedded digits stand in for
        the official source, which could not be reached; only where the config allows that.

    Raises:
        UsageError: there is no such dataset or source.
        DownloadError: the source could not be read, and there is no verified copy of it.
        DataError: what came from the source is not what the description says.
        PipelineError: the workspace cannot be written.
    """
    description = load_description(config.dataset)
    if description.files is None and config.source is not None:
        _logger.warning("%s is embedded: nothing is read from %s", description.name, show_source(config.source))
    try:
        return _fetch(description, config, workspace, report_progress)
    except DownloadError as error:
        if not _may_fall_back(config):
            raise
        return _fall_back(error, workspace, report_progress)
    except OSError as error:
        raise refusal(error, workspace.root) from error


def _may_fall_back(config: FetchConfig) -> bool:
    return config.fall_back_to_digits and config.source is None and config.dataset == "mnist"


def _fall_back(problem: DownloadError, workspace: Workspace, report_progress: ReportProgress) -> FetchedDataset:
    _logger.warning("MNIST CANNOT BE REACHED: %s", problem)
    _logger.warning("USING THE 1,797 EMBEDDED DIGITS INSTEAD: what comes out is a model of 'digits', not of MNIST")
    try:
        digits = fetch_dataset(FetchConfig(dataset="digits"), workspace, report_progress)
    except MissingExtraError as missing:
        raise DownloadError(f"{problem}; and nothing can stand in for it: {missing}") from missing
    return digits.model_copy(update={"fallback": True})


def _fetch(
    description: DatasetDescription, config: FetchConfig, workspace: Workspace, report_progress: ReportProgress
) -> FetchedDataset:
    # First without the lock: what is stored is whole, and may lie where nothing can be written.
    if stored := _stored(description, workspace):
        return stored
    check_writable(workspace.root)
    with _only_writer(description.name, workspace, config.deadline):
        return _stored(description, workspace) or _make(description, config, workspace, report_progress)


@contextmanager
def _only_writer(name: str, workspace: Workspace, deadline: float) -> Iterator[None]:
    """Hold the dataset's lock, which the system frees when its holder dies, however that happens."""
    lock = ProcessLock(workspace.locks / f"fetch-{name}.lock")
    if is_held(lock.path):
        _logger.info("another process is fetching %s; waiting for it", name)
    seconds = deadline + _DECODING_SECONDS
    busy = PipelineError(
        f"another process has been fetching {name} for more than {seconds:.0f} s; "
        f"end it, or wait for it (lock: {lock.path})"
    )
    with lock.hold(seconds, busy):
        for folder in (workspace.datasets, workspace.downloads):
            remove_leftovers(folder, name)
        yield


def _stored(description: DatasetDescription, workspace: Workspace) -> FetchedDataset | None:
    """The decoded dataset, where the description pins its content and it is there and sound."""
    if description.digest is None:
        return None
    folder = dataset_folder(workspace.datasets, description.name, description.digest)
    if not folder.exists():
        return None
    try:
        stored = open_stored(folder)
    except IntegrityError as error:
        _logger.warning("%s; fetching %s again", error, description.name)
        return None
    return stored.model_copy(update={"reused": True}) if stored.digest == description.digest else None


def _make(
    description: DatasetDescription, config: FetchConfig, workspace: Workspace, report_progress: ReportProgress
) -> FetchedDataset:
    """Fetch the dataset from its source."""
    store = partial(store_dataset, workspace.datasets, description, report_progress=report_progress)
    files, downloads = description.files, workspace.downloads
    if files is None:
        images, classes = load_embedded_digits()
        return store([images], classes, source=description.source, source_files=[])
    deadline = Deadline(config.deadline, ANSWER_SECONDS if _may_fall_back(config) else None)
    with open_sprite(description, files, config, downloads, deadline, report_progress) as (folder, sprite):
        # Where nothing is pinned, only the bytes of the source can tell whether they were decoded before.
        if decoded := find_decoded(workspace.datasets, description, sprite.files):
            return decoded.model_copy(update={"reused": True})
        rows = description.rows.total
        labels = decode_labels((folder / sprite.labels.name).read_bytes(), rows, sprite.origin(sprite.labels))
        with (folder / sprite.images.name).open("rb") as file:
            blocks = decode_sprite(file, rows, sprite.origin(sprite.images))
            return store(blocks, labels, source=sprite.source, source_files=sprite.files)
