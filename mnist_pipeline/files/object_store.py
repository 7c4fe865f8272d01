"""Objects in S3-compatible storage: a folder of a bucket, with conditional writes.

Server, credentials, region and the like come from the usual ``AWS_*`` environment variables. With `object_client` this
is the only place that knows obstore.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeVar

from mnist_pipeline.errors import StorageError, UsageError
from mnist_pipeline.files.object_client import SCHEME, explain, open_store
from mnist_pipeline.files.object_requests import SignedRequests, is_path
from mnist_pipeline.network import public_url, wait_for

if TYPE_CHECKING:
    from obstore import UpdateVersion

T = TypeVar("T")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=-]*(/[A-Za-z0-9][A-Za-z0-9._=-]*)*")
_CHUNK = 2**20
NO_LIMIT = 1 << 62
HADOOP_FOLDER = "_$folder$"
FOLDER_TYPES = {"application/x-directory", "application/x-directory; charset=UTF-8", "httpd/unix-directory"}
"""Content types of objects that stand for a folder: those of Amazon's and Google's tools, and of s3fs."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """The bytes of an object, and the tag that a conditional replacement names."""

    data: bytes
    """Empty where there are more bytes than were asked for."""
    tag: str
    size: int


@dataclass(frozen=True, slots=True)
class ObjectStream:
    """An object that is read as it comes: its size in bytes, and its bytes in chunks."""

    size: int
    chunks: Iterator[bytes]


class ObjectFolder:
    """The objects below ``s3://bucket/prefix``. Keys are relative to it.

    Args:
        url: ``s3://bucket`` or ``s3://bucket/prefix``.
        any_name: take prefixes as people name their folders, with spaces and letters of all languages.

    Raises:
        UsageError: the URL is malformed.
        MissingExtraError: the 's3' extra is not installed.
        StorageError: a variable cannot be used; names it.

    All methods raise `StorageError` where the server cannot be reached or refuses.
    """

    def __init__(self, url: str, *, any_name: bool = False) -> None:
        bucket, prefix = parse_url(url, any_name=any_name)
        self.url = f"{SCHEME}{bucket}/{prefix}".rstrip("/")
        self._store = open_store(bucket, prefix)
        self._folder = f"{prefix}/" if prefix else ""
        self._signed = SignedRequests(bucket)

    def get(self, key: str, *, most: int = NO_LIMIT) -> StoredObject | None:
        """The object, without its bytes where they are more than ``most``; None where it does not exist."""

        def read() -> StoredObject:
            if not is_path(key):
                data, tag, size = self._signed.get(self._folder + key, most)
                return StoredObject(data, tag, size)
            found = self._store.get(key)
            size = int(found.meta["size"])
            return StoredObject(b"" if size > most else bytes(found.bytes()), str(found.meta["e_tag"]), size)

        return self._find(read)

    def stream(self, key: str) -> ObjectStream | None:
        """The object, to be read in pieces; None where it does not exist."""
        found = self._find(lambda: self._store.get(key))
        if found is None:
            return None
        return ObjectStream(int(found.meta["size"]), map(bytes, self._each(found.stream(min_chunk_size=_CHUNK))))

    def put(self, key: str, data: bytes) -> None:
        """Write the object, whatever was there."""
        self._do(lambda: self._store.put(key, data, use_multipart=False))

    def create(self, key: str, data: bytes) -> bool:
        """Write the object unless there is one; whether it was written (If-None-Match: 412, 409)."""
        return self._put_if(key, data, "create")

    def replace(self, key: str, data: bytes, tag: str) -> bool:
        """Write the object if it is still the one with this tag; whether it was written (If-Match: 412, 409)."""
        return self._put_if(key, data, {"e_tag": tag})

    def _put_if(self, key: str, data: bytes, mode: "Literal['create'] | UpdateVersion") -> bool:
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        def write() -> bool:
            try:
                self._store.put(key, data, mode=mode, use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                return False
            return True

        return self._do(write)

    def delete(self, keys: Iterable[str]) -> None:
        """Delete the objects; those that are not there do not matter."""
        for key in keys:
            self._find(partial(self._store.delete, key))

    def keys(self, folder: str) -> list[str]:
        """Keys of all objects below ``folder``, at any depth."""
        return self._do(lambda: [found["path"] for found in self._store.list(folder).collect()])

    def each_object(self) -> Iterator[tuple[str, int]]:
        """Key and size of all objects, as the server lists them, page by page.

        A slash at the end of a key is not always there: `is_marker` tells.
        """
        from obstore.exceptions import InvalidPathError

        last = ""
        try:
            for page in self._each(iter(self._store.list())):
                for found in page:
                    last = found["path"]
                    yield last, found["size"]
        except StorageError as error:
            if not isinstance(error.__cause__, InvalidPathError):
                raise
            # One such key is enough, and takes its page along.
            for objects in self._each(self._signed.pages(self._folder, self._folder + last if last else "")):
                yield from ((key.removeprefix(self._folder), size) for key, size in objects)

    def is_marker(self, key: str) -> bool:
        """Whether an object of no bytes only says that there is a folder, as consoles and tools leave them."""
        if key == "" or key.endswith(("/", HADOOP_FOLDER)):
            return True
        if not is_path(key):
            return False
        kind = self._find(lambda: self._store.get(key).attributes.get("Content-Type", ""))
        return kind is None or kind in FOLDER_TYPES  # what does not exist has a slash behind its name

    def tag(self, key: str) -> str | None:
        """The tag of the object as it is now; None where it does not exist."""

        def look() -> str:
            if not is_path(key):
                return self._signed.tag(self._folder + key)
            return str(self._store.head(key)["e_tag"])

        return self._find(look)

    def folders(self, folder: str = "") -> list[str]:
        """Names of the folders directly in ``folder``."""
        found = self._do(lambda: self._store.list_with_delimiter(folder or None))
        return [prefix.rstrip("/").rpartition("/")[2] for prefix in found["common_prefixes"]]

    def _each(self, items: Iterator[T]) -> Iterator[T]:
        while (item := self._do(lambda: next(items, None))) is not None:
            yield item

    def _find(self, work: Callable[[], T]) -> T | None:
        """What ``work`` returns; None where there is no such object."""

        def look() -> T | None:
            try:
                return work()
            except FileNotFoundError as error:
                if "<Code>NoSuchBucket</Code>" in str(error):
                    raise
                return None

        return self._do(look)

    def _do(self, work: Callable[[], T]) -> T:
        from obstore.exceptions import BaseError

        try:
            return wait_for(work)
        except (BaseError, OSError) as error:
            raise StorageError(f"{self.url}: {explain(error)}") from error


def parse_url(url: str, *, any_name: bool = False) -> tuple[str, str]:
    """Bucket and prefix ("" for the whole bucket).

    Raises:
        UsageError: it is not ``s3://bucket`` or ``s3://bucket/prefix``.
    """
    bucket, _, path = url.removeprefix(SCHEME).partition("/")
    prefix = path.strip("/")
    known = is_path(prefix) if any_name else _PREFIX.fullmatch(prefix)
    if not url.startswith(SCHEME) or not _BUCKET.fullmatch(bucket) or (prefix and not known):
        raise UsageError(f"{public_url(url)!r} is not a place in an object store; use s3://bucket/prefix")
    return bucket, prefix
