"""Images in an object store, below ``s3://bucket/prefix``."""

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import compress, islice

from mnist_pipeline.errors import StorageError
from mnist_pipeline.files.object_store import ObjectFolder, StoredObject
from mnist_pipeline.imaging.errors import ImageError
from mnist_pipeline.scoring.sources.listing import END, REPORT_EVERY, Skipped
from mnist_pipeline.scoring.sources.reading import Signature

AHEAD = 8
"""Objects that are asked for before they are needed."""
AHEAD_BYTES = 64_000_000
"""They hold about so much together."""


def list_keys(url: str, skipped: Skipped) -> Iterator[bytes]:
    """The keys of all objects below the URL, relative to it; hidden ones and folder markers are passed over.

    Args:
        url: ``s3://bucket/prefix``.
        skipped: gets what is passed over.

    Raises:
        StorageError: the store cannot be listed.
        UsageError: no such URL.
        MissingExtraError: the ``s3`` extra is not installed.
    """
    folder = ObjectFolder(url, any_name=True)
    with ThreadPoolExecutor(AHEAD) as threads:
        objects = folder.each_object()
        while page := list(islice(objects, REPORT_EVERY)):
            empty = [key for key, size in page if not (key and size)]
            markers = set(compress(empty, threads.map(folder.is_marker, empty)))
            for key, _ in page:
                name = key.encode(errors="surrogateescape")
                if any(part.startswith(".") for part in key.split("/")):
                    skipped.entries["hidden"] += 1
                elif key in markers:
                    skipped.entries["folder marker"] += 1
                elif END in name:
                    skipped.entries["unusable name"] += 1
                else:
                    yield name


class ObjectReader:
    """Reads objects by key; the client retries what can pass by itself.

    A store answers after milliseconds, in which a worker would do nothing. So the next few names are asked for
    while one is worked on; where objects are large, fewer of them.
    """

    def __init__(self, url: str, max_bytes: int) -> None:
        self._folder = ObjectFolder(url, any_name=True)
        self._max_bytes = max_bytes
        self._coming: deque[bytes] = deque()
        self._asked: dict[bytes, Future[tuple[bytes, Signature]]] = {}
        self._largest = 1
        self._threads: ThreadPoolExecutor | None = None

    def expect(self, names: Iterable[bytes]) -> None:
        self._coming = deque(names)
        self._asked.clear()
        self._ask_ahead()

    def read(self, name: bytes) -> tuple[bytes, Signature]:
        asked = self._asked.pop(name, None)
        if asked is None:
            return self._fetch(name)
        try:
            found = asked.result()
        finally:
            self._ask_ahead()
        self._largest = max(self._largest, len(found[0]))
        return found

    def _ask_ahead(self) -> None:
        self._threads = self._threads or ThreadPoolExecutor(AHEAD)  # here: the process that makes this may be forked
        most = max(1, min(AHEAD, AHEAD_BYTES // self._largest))
        while self._coming and len(self._asked) < most:
            name = self._coming.popleft()
            self._asked[name] = self._threads.submit(self._fetch, name)

    def _fetch(self, name: bytes) -> tuple[bytes, Signature]:
        try:
            # Listings leave out a slash at the end.
            stored = self._get(_key(name)) or self._get(f"{_key(name)}/")
        except StorageError as error:
            raise ImageError("unreadable", f"cannot be read: {error}") from None
        if stored is None:
            raise ImageError("vanished", "is not there any more")
        signature = _signature(stored.tag)
        if stored.size > self._max_bytes:
            raise ImageError("too large", f"{stored.size:,} bytes; at most {self._max_bytes:,} are read", signature)
        if not stored.data:
            raise ImageError("empty", "holds no bytes", signature)
        return stored.data, signature

    def _get(self, key: str) -> StoredObject | None:
        return self._folder.get(key, most=self._max_bytes)

    def signature(self, name: bytes) -> Signature | None:
        try:
            tag = self._folder.tag(_key(name)) or self._folder.tag(f"{_key(name)}/")
        except StorageError:
            return None
        return None if tag is None else _signature(tag)


def _key(name: bytes) -> str:
    return name.decode(errors="surrogateescape")


def _signature(tag: str) -> Signature:
    """An object's tag changes with its bytes: its digest stands where files have size and time."""
    digest = hashlib.sha256(tag.encode()).digest()
    return Signature(int.from_bytes(digest[:7]), int.from_bytes(digest[7:14]))
