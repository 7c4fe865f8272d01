"""A review: images of an output that people are asked about, with what the model said, and where answers go."""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mnist_pipeline import MAX_BYTES, MAX_PIXELS
from mnist_pipeline.errors import UsageError
from mnist_pipeline.imaging.errors import ImageError
from mnist_pipeline.labels.choice import choose_images
from mnist_pipeline.labels.store import LabelStore, NewImage
from mnist_pipeline.scoring.pictures import Picture, readable_picture
from mnist_pipeline.scoring.rows import ScoredRow, read_rows
from mnist_pipeline.scoring.sources.reading import Location, Reader, open_reader
from mnist_pipeline.scoring.writers import escape_path

SIDE = 560
"""Longer side of a picture that is shown, pixels at most."""


class ChangedError(Exception):
    """The file is not the one any more that was chosen."""


@dataclass(frozen=True, slots=True)
class ReviewImage:
    """An image that people are asked about.

    Attributes:
        digest: hex SHA-256 of its file.
        row: what the model said of it.
    """

    digest: str
    row: ScoredRow


@dataclass(frozen=True, slots=True)
class Queue:
    """What one person has still to answer.

    Attributes:
        digests: in the order in which they are shown.
        answered: how many images this person has answered.
    """

    digests: list[str]
    answered: int


class Review:
    """The images of a review by digest, and the labels that their answers join.

    What a person is asked is what that person has not answered: it follows from the labels alone, so that nothing is
    lost with the process that asks.

    Args:
        images: in the order in which they are shown.
        reader: of their files.
        store: the labels.
    """

    def __init__(self, images: Iterable[ReviewImage], reader: Reader, store: LabelStore) -> None:
        self.images = {image.digest: image for image in images}
        self._reader, self._store = reader, store

    def queue(self, by: str) -> Queue:
        """Images that this person has not answered; those that nobody has come first.

        Each person has an order of one's own, so that several at once seldom meet on one image.
        """
        known = self._store.catalogue().images
        people = {digest: known[digest].people if digest in known else set() for digest in self.images}
        left = [digest for digest in self.images if by not in people[digest]]
        left.sort(key=lambda digest: (bool(people[digest]), hashlib.sha256(f"{by} {digest}".encode()).digest()))
        return Queue(left, len(self.images) - len(left))

    def picture(self, digest: str) -> Picture:
        """The image as it is shown.

        Raises:
            ChangedError: its file has changed.
            ImageError: it cannot be read.
        """
        # Decoded here: worker processes have decoded every image of an output before.
        return readable_picture(self._read(self.images[digest]), MAX_PIXELS, SIDE)

    def answer(self, digest: str, label: str, *, by: str) -> None:
        """Keep what a person says; it is on disk when this returns.

        Raises:
            ChangedError: its file has changed.
            ImageError: it cannot be read.
            UsageError: nobody is named.
        """
        image = self.images[digest]
        found = self._store.add(
            [NewImage(source=escape_path(image.row.name), data=self._read(image), label=label)], by=by
        )
        if found.problems:
            raise ImageError("not an image", found.problems[0])

    def withdraw(self, digest: str, *, by: str) -> None:
        """Take back what a person has said; on disk when this returns."""
        self._store.withdraw(digest, by=by)

    def _read(self, image: ReviewImage) -> bytes:
        data, _ = self._reader.read(image.row.name)
        if hashlib.sha256(data).hexdigest() != image.digest:
            raise ChangedError
        return data


def open_review(output: Path, location: Location, store: LabelStore, count: int) -> Review:
    """The review of a scored output.

    Args:
        output: of `score`.
        location: where its images are.
        store: where answers go.
        count: images at most.

    Raises:
        UsageError: the output cannot be read, or none of its images is there.
        MissingExtraError: what is needed to read it is not installed.
    """
    reader = _reader(location)
    images = [image for image, _ in _choose(output, reader, count)]
    if not images:
        raise UsageError(f"{output}: none of its images is in {location.root}; name their folder with --images")
    return Review(images, reader, store)


def choose_readable(output: Path, location: Location, count: int) -> Iterator[tuple[ReviewImage, Picture]]:
    """The images that people are asked about, each with the picture that shows it; arguments and errors as above.

    Those that cannot be read any more are left out.
    """
    for image, data in _choose(output, _reader(location), count):
        with suppress(ImageError):
            yield image, readable_picture(data, MAX_PIXELS, SIDE)


def _choose(output: Path, reader: Reader, count: int) -> Iterator[tuple[ReviewImage, bytes]]:
    for row in choose_images(read_rows(output), count):
        with suppress(ImageError):
            data, _ = reader.read(row.name)
            yield ReviewImage(hashlib.sha256(data).hexdigest(), row), data


def _reader(location: Location) -> Reader:
    return open_reader(location, MAX_BYTES)
