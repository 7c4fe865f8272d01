"""Decoded datasets in an object store, so that one machine's fetch serves them all.

Keys are ``<name>-<digest12>/`` and the files of the local folder; dataset.json is written last, so
that what has a card is whole. A copy counts only if its pixels and labels have the digest that the
dataset's description pins: nobody has to trust the store.
"""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mnist_pipeline.config import FetchConfig
from mnist_pipeline.data.description import DatasetDescription, dataset_digest, load_description
from mnist_pipeline.data.fetch import fetch_dataset
from mnist_pipeline.data.sprite import encode_labels
from mnist_pipeline.data.store import (
    CARD,
    IMAGES,
    LABELS,
    dataset_folder,
    open_stored,
    remove_leftovers,
    scratch_folder,
)
from mnist_pipeline.errors import IntegrityError, StorageError
from mnist_pipeline.files import sha256_bytes, sync_directory, write_bytes
from mnist_pipeline.files.object_store import ObjectFolder
from mnist_pipeline.mnist_form import SIDE
from mnist_pipeline.progress import Progress, ReportProgress, no_progress
from mnist_pipeline.runs.artifacts import FetchedDataset
from mnist_pipeline.workspace import Workspace

LOCK_SECONDS = 600.0
_logger = logging.getLogger(__name__)


def fetch_shared_dataset(
    config: FetchConfig, workspace: Workspace, shared: ObjectFolder, report_progress: ReportProgress = no_progress
) -> FetchedDataset:
    """`fetch_dataset`, but the store is asked before the source, and gets what it does not have.

    The store is a help, not a need: where it fails or holds something else, that is logged and the
    source is read. Datasets whose description pins no digests are not shared.
    """
    description = load_description(config.dataset)
    if description.digest is None:
        return fetch_dataset(config, workspace, report_progress)
    _or_warn(lambda: _pull_alone(description, workspace, shared, report_progress))
    fetched = fetch_dataset(config, workspace, report_progress)
    if fetched.digest == description.digest:
        _or_warn(lambda: push_dataset(fetched, shared))
    return fetched


def push_dataset(dataset: FetchedDataset, shared: ObjectFolder) -> bool:
    """Copy a dataset to the store, unless it is there; whether it was copied.

    Raises:
        StorageError: the store cannot be reached, or refuses.
        IntegrityError: the local files are damaged.
    """
    folder = dataset.directory.name
    if shared.get(f"{folder}/{CARD}"):
        return False
    dataset.verify()
    for name in (IMAGES, LABELS):
        shared.put(f"{folder}/{name}", (dataset.directory / name).read_bytes())
    return shared.create(f"{folder}/{CARD}", (dataset.directory / CARD).read_bytes())


def pull_dataset(
    description: DatasetDescription,
    datasets: Path,
    shared: ObjectFolder,
    report_progress: ReportProgress = no_progress,
) -> bool:
    """Copy a dataset from the store, unless it is here or not there; whether it was copied.

    Raises:
        StorageError: the store cannot be reached, or refuses.
        IntegrityError: what the store holds is not this dataset.
    """
    if description.digest is None:
        return False
    final = dataset_folder(datasets, description.name, description.digest)
    if final.exists() or (card := shared.get(f"{final.name}/{CARD}")) is None:
        return False
    with scratch_folder(datasets, f"shared-{description.name}") as scratch:
        write_bytes(scratch / CARD, card.data)
        for done, name in enumerate((IMAGES, LABELS), 1):
            found = shared.get(f"{final.name}/{name}")
            if found is None:
                raise IntegrityError(f"{shared.url}/{final.name}/{name} is missing")
            write_bytes(scratch / name, found.data)
            report_progress(Progress(f"copy {description.name} from {shared.url}", done, 2, "files"))
        _check(scratch, description, f"{shared.url}/{final.name}")
        sync_directory(scratch)
        scratch.rename(final)
    return True


def _check(folder: Path, description: DatasetDescription, where: str) -> None:
    """Hash the pixels and labels themselves: the card comes from the same store and proves nothing."""
    card = open_stored(folder)
    try:
        images = np.load(folder / IMAGES, mmap_mode="r", allow_pickle=False)
        labels = np.load(folder / LABELS, allow_pickle=False)
    except ValueError as error:
        raise IntegrityError(f"{where} holds no arrays: {error}") from error
    shapes = (images.dtype, images.shape, labels.dtype, labels.shape)
    if shapes != (np.uint8, (description.rows.total, SIDE, SIDE), np.uint8, (description.rows.total,)):
        raise IntegrityError(f"{where} holds arrays of other types and shapes: {shapes}")
    if labels.max(initial=0) >= len(description.class_names):
        raise IntegrityError(f"{where} holds labels up to {labels.max()}, expected classes 0 to 9")
    pixels = sha256_bytes(np.ascontiguousarray(images).data.cast("B"))
    digest = dataset_digest(pixels, sha256_bytes(encode_labels(labels)), description.rows, description.class_names)
    if {digest, card.digest} != {description.digest}:
        raise IntegrityError(f"{where} has the digest {digest}, {description.name} has {description.digest}")


def _pull_alone(
    description: DatasetDescription, workspace: Workspace, shared: ObjectFolder, report_progress: ReportProgress
) -> None:
    """Pull while no other process here does; remove what one that was killed left."""
    from filelock import FileLock

    workspace.locks.mkdir(parents=True, exist_ok=True)
    with FileLock(workspace.locks / f"shared-{description.name}.lock", timeout=LOCK_SECONDS):
        remove_leftovers(workspace.datasets, f"shared-{description.name}")
        pull_dataset(description, workspace.datasets, shared, report_progress)


def _or_warn(share: Callable[[], object]) -> None:
    try:
        share()
    except (StorageError, IntegrityError, OSError) as error:
        _logger.warning("the shared datasets are not used: %s", error)
