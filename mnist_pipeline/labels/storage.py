"""Where labels live: a folder, or below an address of an object store. Nothing is overwritten in either."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol

from mnist_pipeline.errors import IntegrityError
from mnist_pipeline.files import write_bytes
from mnist_pipeline.files.locks import ProcessLock
from mnist_pipeline.files.object_store import ObjectFolder

LOCK_SECONDS = 300
"""Somebody who adds many images keeps others out for minutes."""


class Storage(Protocol):
    """Files that are written once."""

    def create(self, key: str, data: bytes) -> bool:
        """Write the file unless it is there; whether it was written."""
        ...

    def read(self, key: str) -> bytes:
        """The bytes of the file.

        Raises:
            IntegrityError: it is not there.
        """
        ...

    def keys(self, folder: str) -> list[str]:
        """Keys of all files in ``folder``, sorted."""
        ...

    def locked(self) -> AbstractContextManager[None]:
        """Keep others out while the block lasts; where that is not possible, `Catalogue` lets no side leak."""
        ...


class FolderStorage:
    """Files in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def create(self, key: str, data: bytes) -> bool:
        path = self.root / key
        if path.is_file():
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, data)
        return True

    def read(self, key: str) -> bytes:
        try:
            return (self.root / key).read_bytes()
        except FileNotFoundError:
            raise IntegrityError(f"{self.root / key} is missing; restore it from a copy") from None

    def keys(self, folder: str) -> list[str]:
        base = self.root / folder
        return sorted(f"{folder}/{path.name}" for path in base.glob("[!.]*")) if base.is_dir() else []

    def locked(self) -> AbstractContextManager[None]:
        return ProcessLock(self.root / ".lock").hold(LOCK_SECONDS)


class ObjectStorage:
    """Objects below ``s3://bucket/prefix``."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._objects = ObjectFolder(url)

    def create(self, key: str, data: bytes) -> bool:
        return self._objects.create(key, data)

    def read(self, key: str) -> bytes:
        if (found := self._objects.get(key)) is None:
            raise IntegrityError(f"{self.url}/{key} is missing; restore it from a copy")
        return found.data

    def keys(self, folder: str) -> list[str]:
        return sorted(self._objects.keys(folder))

    def locked(self) -> AbstractContextManager[None]:
        return nullcontext()


def open_storage(location: str | Path) -> Storage:
    """A folder, or an address ``s3://bucket/prefix``.

    Raises:
        UsageError: the address is malformed or of another kind.
        MissingExtraError: it is an address and the 's3' extra is not installed.
    """
    if isinstance(location, Path) or "://" not in location:
        return FolderStorage(Path(location))
    return ObjectStorage(location)
