"""Labelled images of one's own beside the sprite: one folder per class, read as `score` reads images.

They join the train rows only. The dataset keeps its digest, its validation and its test rows, so
that models with and without them are compared on the same images.
"""

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline import SIDE
from mnist_pipeline.config import ScoreConfig
from mnist_pipeline.data.dataset import Dataset
from mnist_pipeline.data.store import IMAGES, LABELS
from mnist_pipeline.errors import DataError, IntegrityError, UsageError
from mnist_pipeline.files import sha256_bytes, write_json
from mnist_pipeline.files.folders import replace_folder, scratch_folder
from mnist_pipeline.imaging.form import has_sprite_form
from mnist_pipeline.imaging.planes import Plane
from mnist_pipeline.imaging.readings import read_flat
from mnist_pipeline.progress import Progress, ReportProgress, no_progress
from mnist_pipeline.runs.artifacts import ExtraImages, FetchedDataset, Output
from mnist_pipeline.schema import Record
from mnist_pipeline.scoring.classify import Job, read_items
from mnist_pipeline.scoring.records import Location
from mnist_pipeline.scoring.sources.listing import Skipped, scan_folder
from mnist_pipeline.scoring.sources.reading import Reader, open_reader
from mnist_pipeline.workspace import Workspace

CARD = "extra.json"
AT_ONCE = 256
PROBLEMS_SHOWN = 20
NO_IMAGE = np.zeros((SIDE, SIDE), np.uint8)
KNOWN = "in the dataset already"
logger = logging.getLogger(__name__)


class Labelled(Record):
    """A file below the folder of its class."""

    name: bytes
    """Relative to the folder of all classes."""
    label: int


class ExtraCard(Record):
    """``extra.json``: where the images came from, and what was left out and why."""

    digest: str
    source: str
    created: datetime
    classes: dict[str, int]
    """Class name -> images."""
    left_out: dict[str, int]
    """Reason -> files."""
    problems: list[str]
    """The first files that were left out, each with its reason."""


def collect_extra_images(
    folder: Path, dataset: FetchedDataset, workspace: Workspace, report_progress: ReportProgress = no_progress
) -> ExtraImages:
    """The images below ``folder`` in the sprite's form, stored below ``datasets/``; equal ones are stored once.

    What cannot be read, shows no digit, or is in the dataset already (a test image must not be
    trained on) is left out, counted in extra.json and told in one warning.

    Args:
        folder: has a folder per class, named by its index or its class name, with images at any depth.
        dataset: that the images are for.
        workspace: where they are stored.
        report_progress: is told how many were read.

    Returns:
        images.npy (uint8 [n, 28, 28]), labels.npy (uint8 [n]), extra.json.

    Raises:
        UsageError: there is no such folder, or a folder in it is not named as a class.
        DataError: no image could be used.
    """
    data = Dataset.open(dataset.directory)
    files = _list_files(folder, data.class_names)
    images, labels, problems = _read(folder, files, data, report_progress)
    if not len(images):
        found = f"; {problems[0][1]}" if problems else ""
        raise DataError(f"{folder}: none of {len(files)} files can be trained on{found}")
    if problems:
        logger.warning("%s: %d of %d files are left out; %s", folder, len(problems), len(files), problems[0][1])
    digest = sha256_bytes(images.tobytes() + labels.tobytes())
    card = ExtraCard(
        digest=digest,
        source=str(folder),
        created=datetime.now(UTC),
        classes={name: int((labels == label).sum()) for label, name in enumerate(data.class_names)},
        left_out=dict(Counter(reason for reason, _ in problems)),
        problems=[text for _, text in problems[:PROBLEMS_SHOWN]],
    )
    return _store(workspace.datasets / f"extra-{digest[:12]}", images, labels, card)


def _list_files(folder: Path, class_names: tuple[str, ...]) -> list[Labelled]:
    """All files in the folders of their classes, sorted by name."""
    if not folder.is_dir():
        raise UsageError(f"--extra-images {folder}: there is no such folder")
    labels = {name.casefold(): label for label, name in enumerate(class_names)}
    labels |= {str(label): label for label in range(len(class_names))}
    found: list[Labelled] = []
    for place in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        if place.name.casefold() not in labels:
            raise UsageError(
                f"--extra-images {folder}: the folder {place.name!r} is no class; name it as one of 0 to "
                f"{len(class_names) - 1} or {', '.join(class_names)}"
            )
        prefix = os.fsencode(place.name) + b"/"
        names = sorted(scan_folder(place, frozenset(), Skipped()))
        found += [Labelled(name=prefix + name, label=labels[place.name.casefold()]) for name in names]
    return found


def _read(
    folder: Path, files: list[Labelled], data: Dataset, report_progress: ReportProgress
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], list[tuple[str, str]]]:
    """Usable images [n, 28, 28] and their labels [n]; and reason and message of each file that is left out."""
    limits = ScoreConfig()
    reader = open_reader(Location(kind="folder", root=str(folder.resolve())), int(limits.max_megabytes * 1e6))
    known = _fingerprints(data.images)
    kept: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    problems: list[tuple[str, str]] = []
    for start in range(0, len(files), AT_ONCE):
        batch = files[start : start + AT_ONCE]
        for file, image, reason in _prepare(batch, reader, int(limits.max_megapixels * 1e6)):
            why = reason or (KNOWN if _fingerprint(image) in known else "")
            if why:
                problems.append((why.partition(":")[0], f"{os.fsdecode(file.name)}: {why}"))
            else:
                known.add(_fingerprint(image))
                kept.append(image)
                labels.append(file.label)
        report_progress(Progress("read extra images", start + len(batch), len(files), "images"))
    return np.array(kept, np.uint8).reshape(-1, *data.card.image_size), np.array(labels, np.uint8), problems


def _prepare(
    batch: list[Labelled], reader: Reader, max_pixels: int
) -> Iterator[tuple[Labelled, NDArray[np.uint8], str]]:
    """Each file with its image, and why it cannot be used or ""."""
    job = Job(reader, "auto", max_pixels)
    for item in read_items([file.name for file in batch], job, {}):
        if item.plane is None:
            yield batch[item.row], NO_IMAGE, ": ".join(item.error)
        elif item.plane.shape == NO_IMAGE.shape and has_sprite_form(item.plane[np.newaxis])[0]:
            yield batch[item.row], item.plane, ""
        else:
            yield batch[item.row], *_read_plane(item.plane)


def _read_plane(plane: Plane) -> tuple[NDArray[np.uint8], str]:
    """Nothing else than the flat reading can be trusted without a model that chooses."""
    reading = read_flat(plane)
    if reading is None:
        return NO_IMAGE, "no digit: blank"
    return reading.image, f"no digit: {reading.objection}" if reading.objection else ""


def _fingerprint(image: NDArray[np.uint8]) -> bytes:
    return hashlib.blake2b(image.tobytes(), digest_size=16).digest()


def _fingerprints(images: NDArray[np.uint8]) -> set[bytes]:
    return {_fingerprint(image) for image in images}


def _store(final: Path, images: NDArray[np.uint8], labels: NDArray[np.uint8], card: ExtraCard) -> ExtraImages:
    with scratch_folder(final.parent, "extra") as scratch:
        np.save(scratch / IMAGES, images)
        np.save(scratch / LABELS, labels)
        write_json(scratch / CARD, card.model_dump(mode="json"))
        stored = _stored(final, card)
        if stored is None:
            replace_folder(scratch, final)
            stored = _stored(final, card)
    if stored is None:
        raise IntegrityError(f"{final} was changed while it was written; run the same command again")
    return stored


def _stored(final: Path, card: ExtraCard) -> ExtraImages | None:
    """The stored images, where they are those of the card."""
    try:
        images, labels = (np.load(final / name, allow_pickle=False) for name in (IMAGES, LABELS))
        files = Output.digests(final / IMAGES, final / LABELS, final / CARD)
    except (OSError, ValueError, EOFError):
        return None
    if sha256_bytes(images.tobytes() + labels.tobytes()) != card.digest:
        return None
    return ExtraImages(directory=final, files=files, digest=card.digest, images=len(labels), source=card.source)
