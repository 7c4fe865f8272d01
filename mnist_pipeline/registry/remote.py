"""A registry in S3-compatible storage.

Keys of one model::

    <version>/manifest.json                       written last, and only if there is none: it makes the version
    <version>/files/<sha256>/<name>               named by its content: writing it twice changes nothing
    <version>/files/<manifest sha256>/manifest.json.sig
    history.jsonl                                 replaced only if it is still the one that was read
    aliases.json                                  derived from the history

A reader sees a manifest and then all of its files, or no manifest. Two publishers of one version
write files beside each other; the manifest of one of them wins and the other's files are deleted.
Pruning a version in the very moment in which another machine publishes it anew is the one case
that nothing here excludes; `Registry.verify` finds it.
"""

import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from mnist_pipeline.errors import RegistryError, StorageError
from mnist_pipeline.files import sha256_bytes, write_bytes
from mnist_pipeline.files.object_store import ObjectFolder
from mnist_pipeline.files.writing import advice
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
    parse_manifest,
)
from mnist_pipeline.registry.storage import Storage, check_bytes

ATTEMPTS = 100
LONGEST_WAIT = 0.5


class RemoteStorage(Storage):
    """A registry below ``s3://bucket/prefix``.

    Its locks keep out the writers that share the cache folder; those elsewhere meet the conditional writes.

    Args:
        objects: where it is.
        cache: local folder for downloads (used again only where their digest is right) and stages.
    """

    def __init__(self, objects: ObjectFolder, cache: Path) -> None:
        self.location = objects.url
        self._objects = objects
        self._cache = cache
        self._locks = {}

    def models(self) -> list[str]:
        return sorted(name for name in self._objects.folders() if is_model_name(name))

    def versions(self, model: str) -> set[str]:
        return {name for name in self._objects.folders(model) if is_version_name(name)}

    def read_manifest(self, model: str, version: str) -> bytes | None:
        return self._read(_manifest_key(model, version))

    def read_signature(self, model: str, version: str, manifest_sha256: str) -> bytes | None:
        return self._read(_file_key(model, version, manifest_sha256, SIGNATURE_FILE))

    def entries(self, manifest: Manifest) -> dict[str, FileEntry | None]:
        model, version = manifest.model, manifest.version
        known = {_file_key(model, version, e.sha256, name): name for name, e in manifest.files.items()}
        found: dict[str, FileEntry | None] = {}
        for key in self._objects.keys(f"{model}/{version}"):
            own = key == _manifest_key(model, version) or key.endswith(f"/{SIGNATURE_FILE}")
            if not own and (data := self._read(key)) is not None:
                found[known.get(key, key.removeprefix(f"{model}/{version}/"))] = entry_of(data)
        return found

    def fetch(self, manifest: Manifest) -> Path:
        folder = self._cache / manifest.model / manifest.version
        for name, expected in manifest.files.items():
            path = folder / name
            if not (path.is_file() and entry_of(path.read_bytes()) == expected):
                self._download(manifest.model, manifest.version, name, expected)
        return folder

    def staging(self, model: str) -> Path:
        return self._cache / ".staging" / model

    def place_model(self, model: str, version: str, staged: Path) -> Path:
        data = (staged / MODEL_FILE).read_bytes()
        entry = entry_of(data)
        self._objects.put(_file_key(model, version, entry.sha256, MODEL_FILE), data)
        return self._download(model, version, MODEL_FILE, entry)

    def commit(self, model: str, version: str, staged: Path) -> bool:
        data = (staged / MANIFEST_FILE).read_bytes()
        manifest = parse_manifest(data, model, version)
        for name, entry in manifest.files.items():
            self._objects.put(_file_key(model, version, entry.sha256, name), (staged / name).read_bytes())
        if (staged / SIGNATURE_FILE).exists():
            signature = (staged / SIGNATURE_FILE).read_bytes()
            self._objects.put(_file_key(model, version, sha256_bytes(data), SIGNATURE_FILE), signature)
        created = self._create_manifest(_manifest_key(model, version), data)
        self._delete_orphans(model, version)
        return created

    def remove(self, model: str, version: str) -> None:
        self._objects.delete([_manifest_key(model, version)])
        self._objects.delete(self._objects.keys(f"{model}/{version}"))
        shutil.rmtree(self._cache / model / version, ignore_errors=True)

    def read_history(self, model: str) -> bytes:
        return whole_lines(self._read(f"{model}/{HISTORY_FILE}") or b"")

    def append_history(self, model: str, decide: Callable[[bytes], bytes]) -> bytes:
        key = f"{model}/{HISTORY_FILE}"
        wanted: bytes | None = None
        for attempt in range(ATTEMPTS):
            stored = self._objects.get(key)
            before = whole_lines(stored.data) if stored else b""
            if wanted and before.startswith(wanted):
                return before  # it was written, and only the answer was lost
            addition = decide(before)
            if not addition:
                return before
            wanted = before + addition
            if self._objects.replace(key, wanted, stored.tag) if stored else self._objects.create(key, wanted):
                return wanted
            _wait(attempt)
        raise self._contested(key)

    def read_aliases(self, model: str) -> bytes | None:
        return self._read(f"{model}/{ALIASES_FILE}")

    def write_aliases(self, model: str, data: bytes) -> None:
        self._objects.put(f"{model}/{ALIASES_FILE}", data)

    def _create_manifest(self, key: str, data: bytes) -> bool:
        for attempt in range(ATTEMPTS):
            if self._objects.create(key, data):
                return True
            if self._objects.get(key):
                return False
            _wait(attempt)  # 409: somebody else was about to write it
        raise self._contested(key)

    def _contested(self, key: str) -> StorageError:
        return StorageError(f"{self.location}/{key} was taken by others {ATTEMPTS} times in a row; try again later")

    def _read(self, key: str) -> bytes | None:
        found = self._objects.get(key)
        return found.data if found else None

    def _download(self, model: str, version: str, name: str, expected: FileEntry) -> Path:
        key = _file_key(model, version, expected.sha256, name)
        data = check_bytes(self._read(key), expected, f"{self.location}/{key}")
        path = self._cache / model / version / name
        try:
            write_bytes(path, data)
        except OSError as error:
            raise RegistryError(f"cannot keep {path}: {error.strerror}; {advice(error)} --workspace") from error
        return path

    def _delete_orphans(self, model: str, version: str) -> None:
        """Delete what publishers wrote that lost or died. Once a manifest is there, nobody else's files count."""
        data = self.read_manifest(model, version)
        if data is None:
            return
        manifest = parse_manifest(data, model, version)
        needed = {_file_key(model, version, entry.sha256, name) for name, entry in manifest.files.items()}
        needed |= {_manifest_key(model, version), _file_key(model, version, sha256_bytes(data), SIGNATURE_FILE)}
        self._objects.delete(key for key in self._objects.keys(f"{model}/{version}") if key not in needed)


def _wait(attempt: int) -> None:
    """Let writers that met each other come back at different times."""
    time.sleep(random.uniform(0, min(LONGEST_WAIT, 0.01 * 2**attempt)))  # noqa: S311 - no secret


def _manifest_key(model: str, version: str) -> str:
    return f"{model}/{version}/{MANIFEST_FILE}"


def _file_key(model: str, version: str, sha256: str, name: str) -> str:
    return f"{model}/{version}/files/{sha256}/{name}"
