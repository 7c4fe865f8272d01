"""Images in an object store, below ``s3://bucket/prefix``."""

import hashlib
import os
from collections.abc import Iterator

from mnist_pipeline.errors import StorageError
from mnist_pipeline.objects import ObjectFolder
from mnist_pipeline.scoring.reading import ImageError, Signature


def list_keys(url: str) -> Iterator[bytes]:
    """The keys of all objects below the URL, relative to it; hidden ones and folder markers are passed over.

    Raises:
        StorageError: the store cannot be listed.
        UsageError: no such URL.
        MissingExtraError: the ``s3`` extra is not installed.
    """
    for key in ObjectFolder(url).each_key():
        if not key.endswith("/") and not any(part.startswith(".") for part in key.split("/")):
            yield os.fsencode(key)


class ObjectReader:
    """Reads objects by key; the client retries what can pass by itself."""

    def __init__(self, url: str, max_bytes: int) -> None:
        self._folder = ObjectFolder(url)
        self._max_bytes = max_bytes

    def read(self, name: bytes) -> tuple[bytes, Signature]:
        try:
            stored = self._folder.get(os.fsdecode(name))
        except StorageError as error:
            raise ImageError("unreadable", f"cannot be read: {error}") from None
        if stored is None:
            raise ImageError("vanished", "is not there any more")
        signature = _signature(stored.tag)
        if len(stored.data) > self._max_bytes:
            raise ImageError(
                "too large", f"{len(stored.data):,} bytes; at most {self._max_bytes:,} are read", signature
            )
        if not stored.data:
            raise ImageError("empty", "holds no bytes", signature)
        return stored.data, signature

    def signature(self, name: bytes) -> Signature | None:
        try:
            tag = self._folder.tag(os.fsdecode(name))
        except StorageError:
            return None
        return None if tag is None else _signature(tag)


def _signature(tag: str) -> Signature:
    """An object's tag changes with its bytes: its digest stands where files have size and time."""
    digest = hashlib.sha256(tag.encode()).digest()
    return Signature(int.from_bytes(digest[:7]), int.from_bytes(digest[7:14]))
