"""Objects in S3-compatible storage: a folder of a bucket, with conditional writes.

Credentials, region and the like come from the usual ``AWS_*`` environment variables. This is
the only room that knows obstore.
"""

import datetime as dt
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mnist_pipeline.errors import MissingExtraError, StorageError, UsageError

if TYPE_CHECKING:
    from obstore.store import S3Config, S3Store

SCHEME = "s3://"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=-]*(/[A-Za-z0-9][A-Za-z0-9._=-]*)*")
CONNECT_SECONDS = 10
RETRY_SECONDS = 60
RETRIES = 5


@dataclass(frozen=True, slots=True)
class StoredObject:
    """The bytes of an object, and the tag that a conditional replacement names."""

    data: bytes
    tag: str


class ObjectFolder:
    """The objects below ``s3://bucket/prefix``. Keys are relative to it.

    Args:
        url: ``s3://bucket`` or ``s3://bucket/prefix``.
        endpoint: URL of the server; None: ``AWS_ENDPOINT_URL``, else Amazon's.

    Raises:
        UsageError: the URL is malformed.
        MissingExtraError: the 's3' extra is not installed.

    All methods raise `StorageError` where the server cannot be reached or refuses.
    """

    def __init__(self, url: str, *, endpoint: str | None = None) -> None:
        bucket, prefix = parse_url(url)
        self.url = f"{SCHEME}{bucket}/{prefix}".rstrip("/")
        self._store = _open_store(bucket, prefix, endpoint)

    def get(self, key: str) -> StoredObject | None:
        """The object; None where there is none."""
        import obstore

        with self._errors():
            try:
                found = obstore.get(self._store, key)
                return StoredObject(bytes(found.bytes()), str(found.meta["e_tag"]))
            except FileNotFoundError:
                return None

    def put(self, key: str, data: bytes) -> None:
        """Write the object, whatever was there."""
        import obstore

        with self._errors():
            obstore.put(self._store, key, data, use_multipart=False)

    def create(self, key: str, data: bytes) -> bool:
        """Write the object unless there is one; whether it was written (If-None-Match: 412, 409)."""
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with self._errors():
            try:
                obstore.put(self._store, key, data, mode="create", use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                return False
        return True

    def replace(self, key: str, data: bytes, tag: str) -> bool:
        """Write the object if it is still the one with this tag; whether it was written (If-Match: 412, 409)."""
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with self._errors():
            try:
                obstore.put(self._store, key, data, mode={"e_tag": tag}, use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                return False
        return True

    def delete(self, keys: Iterable[str]) -> None:
        """Delete the objects; those that are not there do not matter."""
        import obstore

        with self._errors():
            for key in keys:
                try:
                    obstore.delete(self._store, key)
                except FileNotFoundError:
                    continue

    def keys(self, folder: str) -> list[str]:
        """Keys of all objects below ``folder``, at any depth."""
        import obstore

        with self._errors():
            return [found["path"] for found in obstore.list(self._store, folder).collect()]

    def each_key(self) -> Iterator[str]:
        """Keys of all objects, as the server lists them, page by page."""
        import obstore

        with self._errors():
            for page in obstore.list(self._store):
                for found in page:
                    yield found["path"]

    def tag(self, key: str) -> str | None:
        """The tag of the object as it is now; None where there is none."""
        import obstore

        with self._errors():
            try:
                return str(obstore.head(self._store, key)["e_tag"])
            except FileNotFoundError:
                return None

    def folders(self, folder: str = "") -> list[str]:
        """Names of the folders directly in ``folder``."""
        import obstore

        with self._errors():
            found = obstore.list_with_delimiter(self._store, folder or None)
            return [prefix.rstrip("/").rpartition("/")[2] for prefix in found["common_prefixes"]]

    @contextmanager
    def _errors(self) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, OSError) as error:
            raise StorageError(f"{self.url}: {_reason(error)}; check bucket, endpoint and credentials") from error


def _reason(error: Exception) -> str:
    """What the server said, or else the first line of the error, without its debug output."""
    text = str(error)
    code = re.search(r"<Code>(.*?)</Code>\s*<Message>(.*?)</Message>", text, re.DOTALL)
    if code:
        return f"{code[1]} ({code[2]})"
    if status := re.search(r"status code: (\d+ [A-Za-z ]*[A-Za-z])", text):
        return f"the server answered {status[1]}"
    return " ".join(text.partition("Debug source")[0].split())[:300]


def parse_url(url: str) -> tuple[str, str]:
    """Bucket and prefix ("" where there is none).

    Raises:
        UsageError: it is not ``s3://bucket`` or ``s3://bucket/prefix``.
    """
    parts = urlsplit(url)
    prefix = parts.path.strip("/")
    plain = parts.scheme == "s3" and not parts.query and not parts.fragment
    if not plain or not _BUCKET.fullmatch(parts.netloc) or (prefix and not _PREFIX.fullmatch(prefix)):
        raise UsageError(f"{url!r} is not a place in an object store; use s3://bucket/prefix")
    return parts.netloc, prefix


def _open_store(bucket: str, prefix: str, endpoint: str | None) -> "S3Store":
    try:
        from obstore.store import S3Store
    except ImportError:
        raise MissingExtraError(f"reading {SCHEME}{bucket}", "s3") from None
    config: S3Config = {"endpoint": endpoint} if endpoint else {}
    return S3Store(
        bucket,
        config=config,
        prefix=prefix or None,
        # Plain http is used only where the user names such an endpoint.
        client_options={"allow_http": True, "connect_timeout": f"{CONNECT_SECONDS}s"},
        retry_config={"max_retries": RETRIES, "retry_timeout": dt.timedelta(seconds=RETRY_SECONDS)},
    )
