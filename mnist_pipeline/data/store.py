"""The folder of a decoded dataset: images.npy, labels.npy, dataset.json; written whole, verified when found.

It appears under its final name in one rename; the name ends in the first twelve digits of the
dataset's digest, so two datasets never share a folder and equal ones always do.
"""

import hashlib
import logging
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline import SIDE
from mnist_pipeline.data.card import CARD, DatasetCard, SourceFile, read_card, warn_about
from mnist_pipeline.data.checks import check_rows
from mnist_pipeline.data.description import DatasetDescription, dataset_digest
from mnist_pipeline.data.sprite import encode_labels
from mnist_pipeline.errors import DataError, IntegrityError
from mnist_pipeline.files import replace_folder, scratch_folder, sha256_bytes, write_json
from mnist_pipeline.progress import Progress, ReportProgress, no_progress
from mnist_pipeline.runs.artifacts import FetchedDataset

IMAGES, LABELS = "images.npy", "labels.npy"
_logger = logging.getLogger(__name__)


def dataset_folder(datasets: Path, name: str, digest: str) -> Path:
    """Where the dataset of that name and digest lies, or would lie."""
    return datasets / f"{name}-{digest[:12]}"


def open_stored(directory: Path) -> FetchedDataset:
    """The handle of the dataset in ``directory``, every byte of it hashed once.

    Raises:
        IntegrityError: a file is missing, or its bytes are not those that the card records.
    """
    card = read_card(directory)
    try:
        files = FetchedDataset.digests(*(directory / name for name in (IMAGES, LABELS, CARD)))
    except FileNotFoundError as error:
        raise IntegrityError(f"{error.filename} is missing; fetch the dataset again") from error
    for name in (IMAGES, LABELS):
        if files[name] != card.files.get(name):
            raise IntegrityError(f"{directory / name} has SHA-256 {files[name]}, recorded was {card.files.get(name)}")
    return FetchedDataset(
        directory=directory,
        files=files,
        name=card.name,
        digest=card.digest,
        train_rows=card.rows.train,
        test_rows=card.rows.test,
        source=card.source,
    )


def find_decoded(
    datasets: Path, description: DatasetDescription, source_files: list[SourceFile]
) -> FetchedDataset | None:
    """A sound dataset that was decoded from these very files under an equal description; None where it is missing."""
    for folder in sorted(datasets.glob(f"{description.name}-*")):
        try:
            card = read_card(folder)
            if card.source_files == source_files and _agrees(card, description):
                return open_stored(folder)
        except IntegrityError as error:
            _logger.warning("%s", error)
    return None


def _agrees(card: DatasetCard, description: DatasetDescription) -> bool:
    pinned = description.digests
    return (
        (card.name, card.rows, card.class_names) == (description.name, description.rows, description.class_names)
        and card.pixels_sha256 == (pinned.pixels or card.pixels_sha256)
        and card.labels_sha256 == (pinned.labels or card.labels_sha256)
    )


def store_dataset(
    datasets: Path,
    description: DatasetDescription,
    blocks: Iterable[NDArray[np.uint8]],
    labels: NDArray[np.uint8],
    *,
    source: str,
    source_files: list[SourceFile],
    report_progress: ReportProgress,
) -> FetchedDataset:
    """Write a dataset, verified. Whole or not at all; an equal, sound folder is left as it is.

    Args:
        datasets: the folder of all datasets.
        description: what the content must turn out to be.
        blocks: the images in order, uint8 [k, 28, 28] each.
        labels: class indices, uint8 [rows].
        source: where the bytes came from, for the card.
        source_files: for the card.
        report_progress: told of every block that was decoded.

    Raises:
        DataError: a digest is not the pinned one. ``blocks`` may raise it too.
    """
    with scratch_folder(datasets, description.name) as scratch:
        shape = (description.rows.total, SIDE, SIDE)
        pixels, images_file = _write_array(scratch / IMAGES, shape, blocks, report_progress)
        labels_digest = sha256_bytes(encode_labels(labels))
        _refuse_other("pixels", description.digests.pixels, pixels, source)
        _refuse_other("labels", description.digests.labels, labels_digest, source)
        _, labels_file = _write_array(scratch / LABELS, labels.shape, [labels], no_progress)
        card = DatasetCard(
            name=description.name,
            title=description.title,
            digest=dataset_digest(pixels, labels_digest, description.rows, description.class_names),
            source=source,
            source_files=source_files,
            created=datetime.now(UTC),
            rows=description.rows,
            image_size=description.image_size,
            class_names=description.class_names,
            pixels_sha256=pixels,
            labels_sha256=labels_digest,
            files={IMAGES: images_file, LABELS: labels_file},
            checks=check_rows(np.load(scratch / IMAGES, mmap_mode="r"), labels, description.rows.train),
        )
        warn_about(card)
        write_json(scratch / CARD, card.model_dump(mode="json"))
        return _put_in_place(scratch, dataset_folder(datasets, card.name, card.digest), card.digest)


def _write_array(
    path: Path, shape: tuple[int, ...], blocks: Iterable[NDArray[np.uint8]], report_progress: ReportProgress
) -> tuple[str, str]:
    """Write a .npy file block by block; the digests of the values alone and of the whole file.

    Written rather than memory-mapped: a full disk then is an error and not a signal that kills the process.
    """
    values, whole = hashlib.sha256(), hashlib.sha256()
    done = 0
    with path.open("xb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        file.flush()
        whole.update(path.read_bytes())
        for block in blocks:
            data = np.ascontiguousarray(block).data
            values.update(data)
            whole.update(data)
            file.write(data)
            done += len(block)
            report_progress(Progress("decode images", done, shape[0], "images"))
        file.flush()
        os.fsync(file.fileno())
    if done != shape[0]:
        raise DataError(f"found {done:,} images, expected {shape[0]:,}")
    return values.hexdigest(), whole.hexdigest()


def _refuse_other(what: str, expected: str | None, found: str, source: str) -> None:
    if expected is not None and found != expected:
        raise DataError(f"the {what} from {source} have SHA-256 {found}, expected {expected}")


def _put_in_place(scratch: Path, final: Path, digest: str) -> FetchedDataset:
    """Give the finished folder its name. An equal, sound folder that bears it is kept, any other replaced."""
    if final.exists():
        try:
            if (stored := open_stored(final)).digest == digest:
                return stored
        except IntegrityError as error:
            _logger.warning("replacing the damaged dataset %s: %s", final, error)
    replace_folder(scratch, final)
    return open_stored(final)
