"""The bytes of one image, from a folder, a list of paths or an object store; and why they cannot be had.

What can pass by itself (an I/O error, a stale handle) is tried again; it is never taken for a broken image.
"""

import errno
import os
import stat
import struct
import time
from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple, Protocol, Self

from mnist_pipeline.errors import UsageError
from mnist_pipeline.imaging.errors import ImageError
from mnist_pipeline.schema import Record

AT_ONCE = 4_096
"""Bytes that one read gives as they were at one moment: a page."""
OBJECT_BYTES = 100_000
"""An object's size is not worth a request to its store: a way of some milliseconds, as is the work on so many bytes."""
PAUSES = (0.05, 0.25, 1.0)
"""Seconds before each further attempt."""
TRANSIENT = frozenset({errno.EIO, errno.EAGAIN, errno.EINTR, errno.EBUSY, errno.ETIMEDOUT, errno.ENOMEM, errno.ENFILE})
TRANSIENT |= {number for name in ("ESTALE", "EREMOTEIO", "ENETDOWN") if (number := getattr(errno, name, None))}
# A pipe or a device that took the file's place must not block, and a link must not lead out of the folder.
FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)


class Location(Record):
    """Where names lead to.

    Attributes:
        kind: "folder": names are below ``root`` and links are not followed; "list": names are paths, relative
            ones start at ``root``; "prefix": names are keys below the URL ``root``.
        root: absolute path or URL.
    """

    kind: Literal["folder", "list", "prefix"]
    root: str

    @classmethod
    def of(cls, folder: str) -> Self:
        """What a user names: a folder, or a URL such as s3://bucket/prefix."""
        if "://" in folder:
            return cls(kind="prefix", root=folder)
        return cls(kind="folder", root=os.path.realpath(folder))  # and no error where links lead in a circle


class Signature(NamedTuple):
    """What tells without reading that a file is still the same."""

    size: int
    modified_ns: int


SIGNATURE = struct.Struct("<qq")
"""As rows store one."""
NOTHING = Signature(0, 0)
"""Of an image that is not there."""
GONE = frozenset({"vanished", "missing"})
"""Kinds of errors of images that are not there."""


def signature_of(status: os.stat_result) -> Signature:
    """Of a file that is there.

    File systems know times that 64 bits of nanoseconds do not hold (before 1677, after 2262): those are taken modulo
    584 years.
    """
    modified = status.st_mtime_ns
    if not -(1 << 63) <= modified < 1 << 63:
        modified = (modified + (1 << 63)) % (1 << 64) - (1 << 63)
    return Signature(status.st_size, modified) if status.st_size or modified else Signature(0, 1)


class Reader(Protocol):
    """Reads images by name."""

    def expect(self, names: Iterable[bytes]) -> None:
        """These are read next, in this order."""
        ...

    def read(self, name: bytes) -> tuple[bytes, Signature]:
        """All bytes of one image.

        Raises:
            ImageError: kinds ``vanished``, ``missing``, ``unreadable``, ``not a file``, ``too large``, ``changed``,
                ``empty``.
        """
        ...

    def signature(self, name: bytes) -> Signature | None:
        """As it is now, without reading; None where there is no such image."""
        ...


class FileReader:
    """Reads regular files, below a folder or anywhere.

    Args:
        root: where relative names start.
        max_bytes: of the largest file that is read.
        follow_links: the names are what a user wrote, so that links are followed, and a file that is not there may
            never have been.
    """

    def __init__(self, root: str, max_bytes: int, *, follow_links: bool) -> None:
        self._base = os.fsencode(root).rstrip(b"/") + b"/"
        self._max_bytes = max_bytes
        self._flags = FLAGS if follow_links else FLAGS | NO_FOLLOW
        self._absent = ("missing", "there is no such file") if follow_links else ("vanished", "is not there any more")

    def expect(self, names: Iterable[bytes]) -> None:
        """The kernel reads ahead by itself."""

    def read(self, name: bytes) -> tuple[bytes, Signature]:
        path = self._path(name)
        try:
            return self._read_once(path)
        except (OSError, ImageError):
            return _patiently(lambda: self._read_once(path), self._absent)

    def signature(self, name: bytes) -> Signature | None:
        try:
            # Not Path: names are bytes, and there are a million of them.
            status = os.stat(self._path(name), follow_symlinks=not self._flags & NO_FOLLOW)  # noqa: PTH116
        except OSError:
            return None
        return signature_of(status)

    def _path(self, name: bytes) -> bytes:
        return name if name.startswith(b"/") else self._base + name

    def _read_once(self, path: bytes) -> tuple[bytes, Signature]:
        descriptor = os.open(path, self._flags)
        try:
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode):
                raise ImageError("not a file", "is no regular file")
            signature = signature_of(before)
            if signature.size > self._max_bytes:
                raise _too_large(signature, self._max_bytes)
            data = os.read(descriptor, signature.size + 1)
            # One read gives a small file whole; the kernel may cut off a large one.
            while 0 < len(data) < signature.size and (more := os.read(descriptor, signature.size - len(data))):
                data += more
            # What came with one read is of one moment; what took several may be of several.
            torn = len(data) > AT_ONCE and os.fstat(descriptor).st_mtime_ns != before.st_mtime_ns
            if len(data) != signature.size or torn:
                raise ImageError("changed", "was being written while it was read")
        finally:
            os.close(descriptor)
        if not data:
            raise ImageError("empty", "holds no bytes", signature)
        return data, signature


def _patiently(read: Callable[[], tuple[bytes, Signature]], absent: tuple[str, str]) -> tuple[bytes, Signature]:
    """Call ``read`` again; after a pause once more, where the failure can pass by itself.

    Args:
        read: what to call.
        absent: kind and message of the error where there is no file.
    """
    for pause in (*PAUSES, None):
        try:
            return read()
        except OSError as error:
            if error.errno not in TRANSIENT or pause is None:
                raise _as_image_error(error, absent) from None
        except ImageError as error:
            if error.kind != "changed" or pause is None:
                raise
        time.sleep(pause)
    raise AssertionError("unreachable")


class BytesReader:
    """Reads one image that is in memory already, whatever the name.

    Args:
        data: of the image file.
        max_bytes: of the largest one that is read.
    """

    def __init__(self, data: bytes, max_bytes: int) -> None:
        self._data = data
        self._max_bytes = max_bytes

    def expect(self, names: Iterable[bytes]) -> None:
        """It is here."""

    def read(self, _: bytes) -> tuple[bytes, Signature]:
        signature = self.signature(b"")
        if len(self._data) > self._max_bytes:
            raise _too_large(signature, self._max_bytes)
        if not self._data:
            raise ImageError("empty", "holds no bytes", signature)
        return self._data, signature

    def signature(self, _: bytes) -> Signature:
        return Signature(len(self._data), 0)


def _too_large(signature: Signature, most: int) -> ImageError:
    return ImageError("too large", f"{signature.size:,} bytes; at most {most:,} are read", signature)


def _as_image_error(error: OSError, absent: tuple[str, str]) -> ImageError:
    if error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return ImageError(*absent)
    if error.errno in {errno.ELOOP, errno.ENXIO, errno.ENODEV, errno.EISDIR}:
        return ImageError("not a file", "is no regular file")
    return ImageError("unreadable", f"cannot be read: {error.strerror or error}")


def size_of(location: Location) -> Callable[[bytes], int]:
    """A function that tells how many bytes an image has about, without reading it; 0 where it does not exist."""
    if location.kind == "prefix":
        return lambda _: OBJECT_BYTES
    reader = FileReader(location.root, 0, follow_links=location.kind == "list")

    def size(name: bytes) -> int:
        found = reader.signature(name)
        return found.size if found is not None else 0

    return size


def open_reader(location: Location, max_bytes: int) -> Reader:
    """The reader of a location.

    Raises:
        MissingExtraError: an object store without the ``s3`` extra.
        UsageError: a kind of URL that is not known.
    """
    if location.kind == "prefix":
        from mnist_pipeline.scoring.sources.objects import ObjectReader

        return ObjectReader(location.root, max_bytes)
    if not location.root:
        raise UsageError("the folder's path is empty")
    return FileReader(location.root, max_bytes, follow_links=location.kind == "list")
