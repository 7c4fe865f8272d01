"""Objects whose keys obstore refuses: those with empty parts (``a//b``), a slash at an end, or control characters.

For obstore a key is a path, and one that is not a valid path fails, even where it only stands in a listing among a
thousand others. But obstore signs addresses, with whatever credentials and endpoint it is given, and takes the
bucket's name as it comes: with key and query in that place the address is signed as S3 wants it (AWS Signature
Version 4, query parameters).
"""

import datetime as dt
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Literal, TypeVar
from urllib.parse import quote, unquote_plus
from xml.etree import ElementTree

from mnist_pipeline.errors import StorageError
from mnist_pipeline.files.object_client import CONNECT_SECONDS, READ_SECONDS, RETRIES, RETRY_SECONDS, open_store
from mnist_pipeline.network import open_client

if TYPE_CHECKING:
    import httpx

Method = Literal["GET", "HEAD"]
SIGNED_FOR = dt.timedelta(minutes=5)
_PATH = re.compile(r"(?!.*(?:^|/)\.{0,2}(?:/|$))[^\x00-\x1f\x7f]+")
_DOTS = re.compile(r"(?:^|/)\.{1,2}(?:/|$)")
_Result = TypeVar("_Result")


def is_path(key: str) -> bool:
    """Whether obstore takes the key as it is."""
    return _PATH.fullmatch(key) is not None


def sign(method: Method, target: str) -> str:
    """The address of a bucket, with what follows its name in ``target``, for a request within `SIGNED_FOR`."""
    import obstore

    return str(obstore.sign(open_store(target, "", in_path=True), method, "", SIGNED_FOR))


def target_of(bucket: str, key: str, query: Mapping[str, str]) -> str:
    """What follows the endpoint in an address, in the place of the bucket's name; key "" is the bucket itself.

    Raises:
        StorageError: no address leads to the key.
    """
    if _DOTS.search(key):
        raise StorageError(f"no address leads to the key {key!r}: '.' and '..' are taken out of addresses")
    path = f"{bucket}/{quote(key, safe='/')}" if key else bucket
    parameters = "".join(f"{name}={quote(value, safe='')}&" for name, value in query.items())
    # obstore puts a slash behind the bucket's name: there it becomes the value of a parameter that nobody minds.
    return f"{path}?{parameters}x-id="


class SignedRequests:
    """Reads a bucket by signed addresses.

    All methods raise FileNotFoundError where there is no such object, and another OSError, or what obstore raises,
    where the server cannot be reached or refuses.
    """

    def __init__(self, bucket: str) -> None:
        self._bucket = bucket

    def pages(self, prefix: str, after: str = "") -> Iterator[list[tuple[str, int]]]:
        """Key and size of every object whose key begins with ``prefix``, behind ``after`` (ListObjectsV2)."""
        query = {"list-type": "2", "encoding-type": "url", "prefix": prefix, "start-after": after}
        while True:
            page = ElementTree.fromstring(self._ask("GET", "", lambda answer: answer.read(), query))  # noqa: S314
            space = page.tag.removesuffix("ListBucketResult")
            yield [
                (unquote_plus(found.findtext(f"{space}Key", "")), int(found.findtext(f"{space}Size", "0")))
                for found in page.iter(f"{space}Contents")
            ]
            query["continuation-token"] = page.findtext(f"{space}NextContinuationToken", "")
            if not query["continuation-token"]:
                return

    def get(self, key: str, most: int) -> tuple[bytes, str, int]:
        """Bytes (none where they are more than ``most``), tag and size."""

        def read(answer: "httpx.Response") -> tuple[bytes, str, int]:
            size = int(answer.headers.get("Content-Length", 0))
            return b"" if size > most else answer.read(), answer.headers.get("ETag", ""), size

        return self._ask("GET", key, read)

    def tag(self, key: str) -> str:
        """The object's tag."""
        return self._ask("HEAD", key, lambda answer: str(answer.headers.get("ETag", "")))

    def _ask(
        self,
        method: Method,
        key: str,
        read: Callable[["httpx.Response"], _Result],
        query: Mapping[str, str] | None = None,
    ) -> _Result:
        import httpx
        import stamina

        logging.getLogger("stamina").addHandler(logging.NullHandler())  # what is retried concerns nobody here
        url = sign(method, target_of(self._bucket, key, query or {}))
        with open_client(connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS) as client:
            try:
                for attempt in stamina.retry_context(on=_can_pass, attempts=RETRIES, timeout=RETRY_SECONDS):
                    with attempt, client.stream(method, url) as answer:
                        _require_success(answer)
                        return read(answer)
            except httpx.HTTPError as error:
                raise ConnectionError(str(error)) from error
        raise AssertionError("stamina ends by the last attempt's result or error")


class _RefusedError(OSError):
    """The server's answer is an error that can pass."""


def _require_success(answer: "httpx.Response") -> None:
    """Raise what an error of the server means, in the words in which obstore would say it."""
    if answer.is_success:
        return
    said = f"status code: {answer.status_code} {answer.reason_phrase}: {answer.read().decode(errors='replace')}"
    if answer.status_code == 404:
        raise FileNotFoundError(said)
    raise _RefusedError(said) if answer.status_code in {408, 429} or answer.status_code >= 500 else OSError(said)


def _can_pass(error: Exception) -> bool:
    import httpx

    return isinstance(error, _RefusedError | httpx.TransportError)
