"""Own labelled images: each kept by the digest of its content, with every answer that was given, by whom and when.

    images/<sha256>            the file as it was added
    answers/<time>-<id>.jsonl  one addition: a line for each image

Nothing is ever overwritten: an addition is a file of its own, so that several people can add at once, in a folder or in
an object store, and what a killed one left behind is whole or not there. What an image's label is follows from all
answers: `catalogue`.
"""

import hashlib
import logging
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline import MAX_BYTES, MAX_PIXELS
from mnist_pipeline.errors import IntegrityError, UsageError
from mnist_pipeline.imaging.decoding import decode
from mnist_pipeline.imaging.errors import ImageError
from mnist_pipeline.imaging.likeness import are_alike, directions, ink_box, most_similar, outline, read_outline
from mnist_pipeline.imaging.planes import Plane
from mnist_pipeline.labels.catalogue import Catalogue
from mnist_pipeline.labels.schema import Answer, Side
from mnist_pipeline.labels.storage import Storage, open_storage
from mnist_pipeline.schema import Record
from mnist_pipeline.scoring.sources.reading import BytesReader

OWN_TEST_SHARE = 0.3
ANSWERS, IMAGES = "answers", "images"
PROBLEMS_SHOWN = 20
logger = logging.getLogger(__name__)


class NewImage(Record):
    """An image to add."""

    source: str
    """Where it came from, for people."""
    data: bytes
    """The file as it is."""
    label: str
    """``0`` to ``9``, or `NO_DIGIT`."""


class Added(Record):
    """What became of an addition."""

    added: int
    """Images that were not known."""
    answered: int
    """Images that were known; this is one more answer."""
    known: int
    """Images of which this person had said the same before."""
    left_out: dict[str, int]
    """Reason -> files that are no images."""
    problems: list[str]
    """The first of these files, each with its reason."""


class LabelStore:
    """The labels of one storage.

    Args:
        storage: where they are.
        clock: the time, with a zone.
    """

    def __init__(self, storage: Storage, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._storage = storage
        self._clock = clock
        self._additions: dict[str, list[Answer]] = {}  # as they were read: nothing is ever overwritten

    def catalogue(self) -> Catalogue:
        """All answers, and what follows from them.

        Raises:
            IntegrityError: an addition cannot be read.
        """
        answers = [answer for key in self._storage.keys(ANSWERS) for answer in self._addition(key)]
        return Catalogue(sorted(answers, key=lambda answer: answer.when))

    def _addition(self, key: str) -> list[Answer]:
        if key not in self._additions:
            try:
                lines = self._storage.read(key).splitlines()
                self._additions[key] = [Answer.model_validate_json(line) for line in lines]
            except ValueError as error:
                raise IntegrityError(f"{key} of the labels is not what was written; restore it from a copy") from error
        return self._additions[key]

    def image(self, digest: str) -> bytes:
        """The file of an image, as it was added.

        Raises:
            IntegrityError: it is missing or was changed.
        """
        data = self._storage.read(f"{IMAGES}/{digest}")
        if hashlib.sha256(data).hexdigest() != digest:
            raise IntegrityError(f"{IMAGES}/{digest} of the labels is not what was added; restore it from a copy")
        return data

    def add(self, images: Iterable[NewImage], *, by: str) -> Added:
        """Keep images with their labels; each belongs to one side for ever.

        Files that are no images are left out, counted and told.

        Raises:
            UsageError: nobody is named.
        """
        if not by.strip():
            raise UsageError("nobody is named; say who labels with --by NAME")
        with self._storage.locked():
            known = Known(self, self.catalogue())
            answers: list[Answer] = []
            problems: list[tuple[str, str]] = []
            counts = Counter[str]()
            for new in images:
                try:
                    data, _ = BytesReader(new.data, MAX_BYTES).read(b"")
                    plane = decode(data, MAX_PIXELS)
                except ImageError as error:
                    problems.append((error.kind, f"{new.source}: {error.kind}: {error.message}"))
                    continue
                digest = hashlib.sha256(new.data).hexdigest()
                what = known.judge(digest, new.label, by)
                counts[what] += 1
                if what != "known":
                    self._storage.create(f"{IMAGES}/{digest}", new.data)
                    answers.append(known.answer(digest, plane, new, by, self._clock()))
            self._write(answers)
        if problems:
            logger.warning("%d files are left out; %s", len(problems), problems[0][1])
        return Added(
            added=counts["added"],
            answered=counts["answered"],
            known=counts["known"],
            left_out=dict(Counter(kind for kind, _ in problems)),
            problems=[text for _, text in problems[:PROBLEMS_SHOWN]],
        )

    def settle(self, prefix: str, label: str, *, by: str) -> str:
        """Decide a conflict: the label of the image whose digest begins so; the digest. Later answers may differ anew.

        Raises:
            UsageError: there is no such conflict, or more than one.
        """
        with self._storage.locked():
            catalogue = self.catalogue()
            found = [one for one in catalogue.conflicts if one.digest.startswith(prefix)]
            if len(found) != 1:
                raise UsageError(f"{prefix} is {len(found)} conflicts; see: mnist-pipeline labels conflicts")
            latest = found[0].answers[-1]
            update = {"label": label, "by": by, "when": self._clock(), "settles": True, "withdrawn": False}
            self._write([latest.model_copy(update=update)])
            return latest.digest

    def withdraw(self, digest: str, *, by: str) -> bool:
        """Take back what a person has said of an image; whether there was anything. The image stays, and its side."""
        with self._storage.locked():
            image = self.catalogue().images.get(digest)
            if image is None or by not in image.people:
                return False
            update = {"when": self._clock(), "settles": False, "withdrawn": True}
            last = [answer for answer in image.answers if answer.by == by][-1]
            self._write([last.model_copy(update=update)])
            return True

    def _write(self, answers: list[Answer]) -> None:
        if answers:
            lines = "".join(f"{answer.model_dump_json()}\n" for answer in answers)
            name = f"{self._clock():%Y%m%dT%H%M%S%f}-{uuid.uuid4().hex[:8]}.jsonl"
            self._storage.create(f"{ANSWERS}/{name}", lines.encode())


class Known:
    """What is known of images while more are added."""

    def __init__(self, store: LabelStore, catalogue: Catalogue) -> None:
        self._store = store
        self._labels = {(a.digest, a.by): None if a.withdrawn else a.label for a in catalogue.answers}
        self._sides: dict[str, Side] = {a.digest: a.side for a in catalogue.answers}
        self._outlines = {a.digest: read_outline(a.outline) for a in catalogue.answers}
        self._boxes: dict[str, Plane] = {}

    def judge(self, digest: str, label: str, by: str) -> Literal["added", "answered", "known"]:
        if self._labels.get((digest, by)) == label:
            return "known"
        return "answered" if digest in self._sides else "added"

    def answer(self, digest: str, plane: Plane, new: NewImage, by: str, when: datetime) -> Answer:
        """The answer to write; the side is that of the picture that it is a copy of, else by its digest."""
        if digest not in self._sides:
            box = ink_box(plane)
            drawn = outline(box)
            alike = self._find_alike(drawn, box)
            self._sides[digest] = self._sides[alike] if alike else side_of(digest)
            self._outlines[digest], self._boxes[digest] = drawn, box
        self._labels[digest, by] = new.label
        return Answer(
            digest=digest,
            label=new.label,
            by=by,
            when=when,
            source=new.source,
            side=self._sides[digest],
            outline=self._outlines[digest].tobytes().hex(),
        )

    def _find_alike(self, drawn: NDArray[np.uint8], box: Plane) -> str | None:
        digests = list(self._outlines)
        similar = most_similar(drawn, directions(np.array(list(self._outlines.values()), np.uint8)))
        return next((digests[place] for place in similar if are_alike(box, self._box(digests[place]))), None)

    def _box(self, digest: str) -> Plane:
        if digest not in self._boxes:
            self._boxes[digest] = ink_box(decode(self._store.image(digest), MAX_PIXELS))
        return self._boxes[digest]


def side_of(digest: str) -> Side:
    """The side of a picture that is like none before."""
    return "own-test" if int(digest[:8], 16) < OWN_TEST_SHARE * 2**32 else "train"


def open_labels(location: str | Path) -> LabelStore:
    """The labels in a folder, or below ``s3://bucket/prefix``; errors as `open_storage`."""
    return LabelStore(open_storage(location))
