"""Where a registry's bytes are: what any storage must offer, and the plain folder.

A folder of one model::

    <version>/                  appears by one rename, complete; never changed
    aliases.json                derived from the history
    history.jsonl               appended under the lock
    .lock                       held while the history changes
    .stage-<random>[.lock]      a version in the making (`staging`)
"""

import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from mnist_pipeline.errors import IntegrityError, RegistryError
from mnist_pipeline.files import sync_directory, write_bytes
from mnist_pipeline.files.locks import ProcessLock
from mnist_pipeline.registry.history import ALIASES_FILE, HISTORY_FILE, whole_lines
from mnist_pipeline.registry.manifest import (
    MANIFEST_FILE,
    MODEL_FILE,
    SIGNATURE_FILE,
    FileEntry,
    Manifest,
    entry_of,
    is_model_name,
    is_version_name,
)

LOCK_SECONDS = 120.0
HIDDEN_PREFIX = ".stage-"
_LOCK = ".lock"


class Storage(Protocol):
    """The bytes of a registry. Names are checked by the caller; versions are whole or absent."""

    location: str
    """For messages: a folder or a URL."""
    _locks: dict[str, ProcessLock]
    """By model, as they are first held."""

    def models(self) -> list[str]:
        """Names of the models, sorted."""

    def versions(self, model: str) -> set[str]:
        """The versions that may be there; ``read_manifest`` has the last word."""

    def read_manifest(self, model: str, version: str) -> bytes | None:
        """manifest.json; None where the version is not there."""

    def read_signature(self, model: str, version: str, manifest_sha256: str) -> bytes | None:
        """The detached signature of the manifest with this digest; None where it is missing."""

    def entries(self, manifest: Manifest) -> dict[str, FileEntry | None]:
        """Digest and size of every stored file of the version, read afresh; None means that it is no regular file."""

    def fetch(self, manifest: Manifest) -> Path:
        """A local folder with all files of the version.

        Raises:
            IntegrityError: a file is missing or its bytes changed; names it.
        """

    def staging(self, model: str) -> Path:
        """The local folder in which versions of ``model`` are made."""

    def place_model(self, model: str, version: str, staged: Path) -> Path:
        """Put the staged model file where users will load it from, not yet visible; the path they would load."""

    def commit(self, model: str, version: str, staged: Path) -> bool:
        """Make the staged folder the version, in one step; False where the version is there already."""

    def remove(self, model: str, version: str) -> None:
        """Delete a version; readers see it whole or not at all."""

    def read_history(self, model: str) -> bytes:
        """history.jsonl; empty where it is missing."""

    def append_history(self, model: str, decide: Callable[[bytes], bytes]) -> bytes:
        """Append what ``decide`` makes of the whole lines so far, as one step; all lines afterwards.

        ``decide`` is called again where another writer was faster. Nothing is written where it
        returns nothing; what it raises leaves everything as it was.
        """

    def read_aliases(self, model: str) -> bytes | None:
        """aliases.json; None where it is missing."""

    def write_aliases(self, model: str, data: bytes) -> None:
        """Replace aliases.json."""

    @contextmanager
    def locked(self, model: str) -> Iterator[None]:
        """Keep other writers of this model out, as far as they share the folder of its stages; re-entrant.

        Raises:
            RegistryError: another process does not let go.
            PipelineError: the file system has no locks.
            OSError: the folder cannot be written.
        """
        folder = self.staging(model)
        lock = self._locks.setdefault(model, ProcessLock(folder / _LOCK))
        busy = RegistryError(
            f"another process has been changing {folder} for over {LOCK_SECONDS:.0f} s; try again when it is done"
        )
        with lock.hold(LOCK_SECONDS, busy):
            yield


class LocalStorage(Storage):
    """A registry in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.location = str(root)
        self._locks = {}

    def models(self) -> list[str]:
        if not self.root.is_dir():
            return []
        with os.scandir(self.root) as entries:
            return sorted(e.name for e in entries if is_model_name(e.name) and e.is_dir(follow_symlinks=False))

    def versions(self, model: str) -> set[str]:
        folder = self._inside(model)
        if not folder.is_dir():
            return set()
        with os.scandir(folder) as entries:
            return {e.name for e in entries if is_version_name(e.name) and e.is_dir(follow_symlinks=False)}

    def read_manifest(self, model: str, version: str) -> bytes | None:
        return _read(self._inside(model, version) / MANIFEST_FILE)

    def read_signature(self, model: str, version: str, manifest_sha256: str) -> bytes | None:  # noqa: ARG002 - remote
        return _read(self._inside(model, version) / SIGNATURE_FILE)

    def entries(self, manifest: Manifest) -> dict[str, FileEntry | None]:
        folder = self._inside(manifest.model, manifest.version)
        found: dict[str, FileEntry | None] = {}
        for path in sorted(folder.iterdir()):
            if path.name not in {MANIFEST_FILE, SIGNATURE_FILE}:
                regular = stat.S_ISREG(path.lstat().st_mode)
                found[path.name] = entry_of(path.read_bytes()) if regular else None
        return found

    def fetch(self, manifest: Manifest) -> Path:
        folder = self._inside(manifest.model, manifest.version)
        for name, expected in manifest.files.items():
            check_bytes(_read(folder / name), expected, f"{manifest.model}/{manifest.version}/{name}")
        return folder

    def staging(self, model: str) -> Path:
        return self._inside(model)

    def place_model(self, model: str, version: str, staged: Path) -> Path:  # noqa: ARG002 - remote ones need it
        return staged / MODEL_FILE

    def commit(self, model: str, version: str, staged: Path) -> bool:
        target = self._inside(model, version)
        with self.locked(model):
            if target.exists():
                return False
            staged.rename(target)
        sync_directory(target.parent)
        return True

    def remove(self, model: str, version: str) -> None:
        folder = self._inside(model, version)
        hidden = folder.with_name(f"{HIDDEN_PREFIX}{secrets.token_hex(8)}")
        folder.rename(hidden)
        sync_directory(folder.parent)
        shutil.rmtree(hidden)

    def read_history(self, model: str) -> bytes:
        return whole_lines(_read(self._inside(model) / HISTORY_FILE) or b"")

    def append_history(self, model: str, decide: Callable[[bytes], bytes]) -> bytes:
        with self.locked(model):
            before = self.read_history(model)
            addition = decide(before)
            if addition:
                _append(self._inside(model) / HISTORY_FILE, len(before), addition)
        return before + addition

    def read_aliases(self, model: str) -> bytes | None:
        return _read(self._inside(model) / ALIASES_FILE)

    def write_aliases(self, model: str, data: bytes) -> None:
        write_bytes(self._inside(model) / ALIASES_FILE, data)

    def _inside(self, model: str, version: str | None = None) -> Path:
        """The folder of a model or version, which no link leads elsewhere."""
        root = self.root.resolve()
        folder = root / model / version if version else root / model
        if folder.resolve() != folder:
            raise RegistryError(f"{folder} is a link to {folder.resolve()}; a registry holds real folders only")
        return folder


def check_bytes(data: bytes | None, expected: FileEntry, where: str) -> bytes:
    """Return ``data``.

    Raises:
        IntegrityError: it is missing or not what the manifest says.
    """
    if data is None:
        raise IntegrityError(f"{where} is missing; restore it from a copy or use another version")
    if (found := entry_of(data)) != expected:
        raise IntegrityError(
            f"{where} has SHA-256 {found.sha256}, published was {expected.sha256}; "
            "restore it from a copy or use another version"
        )
    return data


def _read(path: Path) -> bytes | None:
    """The bytes of a regular file; None where it is missing. Links, pipes and devices are refused."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise IntegrityError(f"{path} is not a regular file; remove it and restore the file from a copy")
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _append(path: Path, whole: int, addition: bytes) -> None:
    """Make ``addition`` follow the first ``whole`` bytes, durably; what a killed writer left there is dropped."""
    new = not path.exists()
    with path.open("ab", buffering=0) as file:
        file.truncate(whole)
        try:
            rest = memoryview(addition)
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
        except OSError:
            file.truncate(whole)
            raise
    if new:
        sync_directory(path.parent)
