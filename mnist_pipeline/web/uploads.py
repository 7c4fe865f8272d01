"""The images that a request brings: its body, or the files of a form; bounded in bytes and time."""

import asyncio
from dataclasses import dataclass

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive

FORM = "multipart/form-data"
MAX_FILES = 100
"""Images of one request."""
DISCARDED = 4
"""A body that is too large is read, and thrown away, up to so many times the limit: so its sender hears why."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One image: its name, as file systems have it, and the bytes of its file."""

    name: bytes
    data: bytes


async def read_uploads(request: Request, max_bytes: int, seconds: float) -> list[Upload]:
    """The images of a request; a body that is no form is one.

    Raises:
        HTTPException: 400, 408 or 413, with a sentence.
    """
    if _stated_bytes(request) > DISCARDED * max_bytes:
        raise _too_large(max_bytes)
    limited = Request(request.scope, _limited(request.receive, max_bytes))
    try:
        async with asyncio.timeout(seconds):
            if request.headers.get("content-type", "").lower().startswith(FORM):
                return await _files(limited)
            return [_upload(request.query_params.get("path"), await limited.body())]
    except TimeoutError:
        raise HTTPException(408, f"the request did not arrive within {seconds:g} s") from None
    except ClientDisconnect:
        raise HTTPException(400, "the request was cut off") from None


async def _files(request: Request) -> list[Upload]:
    # Starlette tells by itself, with 400, what else is wrong with a form.
    try:
        async with request.form(max_files=MAX_FILES, max_fields=MAX_FILES) as form:
            found = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
            uploads = [_upload(file.filename, await file.read()) for file in found]
    except UnicodeError:
        raise HTTPException(400, "the names of the form cannot be read in the charset that it states") from None
    if not uploads:
        raise HTTPException(400, "the form holds no file; send each image as a part with a filename")
    return uploads


def _upload(name: str | None, data: bytes) -> Upload:
    return Upload((name or "").encode("utf-8", "surrogateescape"), data)


def _stated_bytes(request: Request) -> int:
    """The length that the request states; 0 where it states none."""
    stated = request.headers.get("content-length", "")
    return int(stated) if stated.isdecimal() else 0


def _too_large(max_bytes: int) -> HTTPException:
    return HTTPException(413, f"the request is larger than {max_bytes:,} bytes; send smaller or fewer images")


def _limited(receive: Receive, max_bytes: int) -> Receive:
    """``receive`` for a body of at most so many bytes."""
    received = 0

    async def next_part() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received <= max_bytes:
            return message
        while message.get("more_body") and received <= DISCARDED * max_bytes:
            message = await receive()
            received += len(message.get("body", b""))
        raise _too_large(max_bytes)

    return next_part
