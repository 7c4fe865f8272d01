"""What a source file must be, checked while its bytes pass by and before anything decodes them. Pure."""

import hashlib
from dataclasses import dataclass

from mnist_pipeline import CLASSES
from mnist_pipeline.data.card import SourceFile
from mnist_pipeline.data.description import DatasetDescription, SpriteFiles
from mnist_pipeline.data.sprite import PNG_END, PNG_MAGIC, SPRITE_WIDTH
from mnist_pipeline.errors import DataError

_HEAD = 64
"""Bytes from the start that are kept for the first look."""


class IncompleteError(DataError):
    """The bytes end too early. Of a download this can pass; of a file on disk it cannot."""


@dataclass(frozen=True, slots=True)
class ExpectedFile:
    """A source file as its description has it.

    Attributes:
        name: in the source's folder.
        max_bytes: a longer one is refused as soon as that is seen; labels have exactly so many.
        is_png: it must begin and end as a PNG does.
        sha256: its hex digest, where that is pinned.
    """

    name: str
    max_bytes: int
    is_png: bool
    sha256: str | None = None

    @property
    def exact_bytes(self) -> int | None:
        """Its size, where that is known."""
        return None if self.is_png else self.max_bytes


def expected_files(description: DatasetDescription, files: SpriteFiles) -> tuple[ExpectedFile, ExpectedFile]:
    """Labels and images of a sprite: the small file, whose digest is pinned, comes first."""
    rows = description.rows.total
    # Nothing that compresses at all is larger than its RGBA pixels with a filter byte a row.
    image_bytes = files.max_image_bytes or rows * (4 * SPRITE_WIDTH + 1) + 2**20
    return (
        ExpectedFile(files.labels, rows * CLASSES, is_png=False, sha256=description.digests.labels),
        ExpectedFile(files.images, image_bytes, is_png=True),
    )


class Inspection:
    """One pass over the bytes of a file.

    Args:
        expected: what the file must be.
        where: what to call it in messages: its URL or path.
    """

    def __init__(self, expected: ExpectedFile, where: str) -> None:
        self._expected = expected
        self._where = where
        self._digest = hashlib.sha256()
        self._head = b""
        self._tail = b""
        self.bytes = 0

    def update(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            DataError: the file is too large, or is plainly something else.
        """
        self.bytes += len(chunk)
        if len(self._head) < _HEAD:
            self._head = (self._head + chunk)[:_HEAD]
            self._look_at_head()
        expected = self._expected
        if self.bytes > expected.max_bytes:
            limit = "accepted are at most" if expected.is_png else "expected"
            raise DataError(f"{self._where} has more than {expected.max_bytes:,} bytes, {limit} {expected.max_bytes:,}")
        self._tail = (self._tail + chunk[-len(PNG_END) :])[-len(PNG_END) :]
        self._digest.update(chunk)

    def finish(self) -> SourceFile:
        """The file's size and digest, now that it has ended.

        Raises:
            IncompleteError: bytes are missing at the end.
            DataError: the digest is not the pinned one.
        """
        expected = self._expected
        if not expected.is_png and self.bytes < expected.max_bytes:
            raise IncompleteError(f"{self._where} has {self.bytes:,} bytes, expected {expected.max_bytes:,}")
        if expected.is_png and self._tail != PNG_END:
            raise IncompleteError(f"{self._where} ends after {self.bytes:,} bytes, before the end of the PNG")
        found = self._digest.hexdigest()
        if expected.sha256 is not None and found != expected.sha256:
            raise DataError(f"{self._where} has SHA-256 {found}, expected {expected.sha256}")
        return SourceFile(name=expected.name, bytes=self.bytes, sha256=found)

    def _look_at_head(self) -> None:
        if self._head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
            start = self._head[:40].decode(errors="replace").splitlines()[0]
            kind = "a PNG" if self._expected.is_png else "label bytes"
            raise DataError(
                f"{self._where} is a web page (it starts with {start!r}), expected {kind}; "
                "is there a login or proxy page in between?"
            )
        magic = PNG_MAGIC[: len(self._head)]
        if self._expected.is_png and not self._head.startswith(magic):
            raise DataError(f"{self._where} starts with {self._head[:8]!r}, expected a PNG ({PNG_MAGIC!r})")
