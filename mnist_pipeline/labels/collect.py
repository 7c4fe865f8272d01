"""Own labelled images made ready for a run: the train side as arrays, the own-test side as files.

The train side joins the train rows only. The dataset keeps its digest, its validation and its test rows, so that models
with and without own images are compared on the same images. The own-test side is measured and never fitted.
"""

import io
import logging
import zipfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.data.dataset import Dataset
from mnist_pipeline.data.store import IMAGES, LABELS
from mnist_pipeline.errors import IntegrityError
from mnist_pipeline.files import open_atomic, replace_folder, scratch_folder, sha256_bytes, write_json
from mnist_pipeline.labels.catalogue import LabelledImage
from mnist_pipeline.labels.fitted import Selection
from mnist_pipeline.labels.store import LabelStore
from mnist_pipeline.progress import Progress, ReportProgress, no_progress
from mnist_pipeline.runs.artifacts import OWN_TEST, ExtraImages, FetchedDataset, Output
from mnist_pipeline.schema import Record
from mnist_pipeline.workspace import Workspace

CARD = "extra.json"
PROBLEMS_SHOWN = 20
EPOCH = (1980, 1, 1, 0, 0, 0)
logger = logging.getLogger(__name__)


class ExtraCard(Record):
    """``extra.json``: what is fitted, what is measured, and what was left out and why."""

    digest: str
    own_test_digest: str | None
    source: str
    created: datetime
    classes: dict[str, int]
    """Class name -> images that are fitted."""
    own_test: dict[str, int]
    """Label -> images that are measured."""
    left_out: dict[str, int]
    """Reason -> images of the train side that are not fitted."""
    problems: list[str]
    """The first of these, each with its reason."""


def collect_own_images(
    store: LabelStore, source: str, dataset: FetchedDataset, workspace: Workspace, report: ReportProgress = no_progress
) -> ExtraImages | None:
    """Both sides of the labels, stored below ``datasets/``; None where there are no labels.

    Of the train side is left out, counted and told: what shows no digit, what is in the dataset already, what is drawn
    from one of its test images (which must not be trained on), and what is like an own-test image, which can only be
    where copies were added at once.

    Args:
        store: the labels.
        source: where they are, for people.
        dataset: that the images are for.
        workspace: where they are stored.
        report: is told how many were read.

    Returns:
        images.npy (uint8 [n, 28, 28]), labels.npy (uint8 [n]), own_test.zip, extra.json.
    """
    catalogue = store.catalogue()
    train, own = catalogue.settled("train"), catalogue.settled("own-test")
    if not train and not own:
        return None
    data = Dataset.open(dataset.directory)
    never = [image for image in catalogue.images.values() if image.side == "own-test"]
    images, labels, problems = _fit(store, train, never, data, report)
    if problems:
        logger.warning(
            "own labels: %d of %d images of the train side are left out; %s", len(problems), len(train), problems[0][1]
        )
    packed = _pack(store, own)
    card = ExtraCard(
        digest=sha256_bytes(images.tobytes() + labels.tobytes()),
        own_test_digest=sha256_bytes(packed) if own else None,
        source=source,
        created=datetime.now(UTC),
        classes={name: int((labels == label).sum()) for label, name in enumerate(data.class_names)},
        own_test=dict(sorted(Counter(str(image.label) for image in own).items())),
        left_out=dict(Counter(reason for reason, _ in problems)),
        problems=[text for _, text in problems[:PROBLEMS_SHOWN]],
    )
    both = sha256_bytes(f"{card.digest}{card.own_test_digest}".encode())
    return _store(workspace.datasets / f"extra-{both[:12]}", images, labels, packed, card)


def _fit(
    store: LabelStore, train: list[LabelledImage], never: list[LabelledImage], data: Dataset, report: ReportProgress
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], list[tuple[str, str]]]:
    """Images [n, 28, 28] and labels [n] to fit; and reason and message of each image that is left out."""
    selection = Selection(store, never, data)
    images: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    problems: list[tuple[str, str]] = []
    for number, one in enumerate(train, 1):
        image, reason = selection.image_of(one)
        if image is None:
            problems.append((reason.partition(":")[0], f"{one.answers[0].source}: {reason}"))
        else:
            images.append(image)
            labels.append(int(one.label or 0))
        report(Progress("read own images", number, len(train), "images"))
    return np.array(images, np.uint8).reshape(-1, *data.card.image_size), np.array(labels, np.uint8), problems


def _pack(store: LabelStore, own: list[LabelledImage]) -> bytes:
    """A ZIP file of the images as they were added, named label/digest; the same images give the same bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for image in sorted(own, key=lambda one: one.digest):
            archive.writestr(zipfile.ZipInfo(f"{image.label}/{image.digest}", EPOCH), store.image(image.digest))
    return packed.getvalue()


def _store(
    final: Path, images: NDArray[np.uint8], labels: NDArray[np.uint8], packed: bytes, card: ExtraCard
) -> ExtraImages:
    with scratch_folder(final.parent, "extra") as scratch:
        np.save(scratch / IMAGES, images)
        np.save(scratch / LABELS, labels)
        with open_atomic(scratch / OWN_TEST) as file:
            file.write(packed)
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
        packed = (final / OWN_TEST).read_bytes()
        files = Output.digests(final / IMAGES, final / LABELS, final / OWN_TEST, final / CARD)
    except (OSError, ValueError, EOFError):
        return None
    if sha256_bytes(images.tobytes() + labels.tobytes()) != card.digest:
        return None
    if card.own_test_digest and sha256_bytes(packed) != card.own_test_digest:
        return None
    return ExtraImages(
        directory=final,
        files=files,
        digest=card.digest,
        images=len(labels),
        source=card.source,
        own_test=sum(card.own_test.values()),
        own_test_digest=card.own_test_digest,
    )
