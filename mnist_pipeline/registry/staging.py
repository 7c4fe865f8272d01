"""Versions in the making: hidden folders that become versions in one step, or vanish."""

import datetime as dt
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mnist_pipeline.errors import RegistryError, UsageError
from mnist_pipeline.files import read_json, sync_directory, write_bytes
from mnist_pipeline.files.locks import HeldElsewhereError, ProcessLock
from mnist_pipeline.files.writing import advice
from mnist_pipeline.registry.card import render_card
from mnist_pipeline.registry.manifest import (
    CARD_FILE,
    EVALUATION_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    SIGNATURE_FILE,
    Facts,
    Manifest,
    check_file_name,
    entry_of,
)
from mnist_pipeline.registry.signing import sign
from mnist_pipeline.registry.storage import HIDDEN_PREFIX, Storage

_LOCK = ".lock"
_WRITTEN_HERE = {MODEL_FILE, MANIFEST_FILE, SIGNATURE_FILE, CARD_FILE}


@contextmanager
def staged_folder(storage: Storage, model: str) -> Iterator[Path]:
    """A hidden folder that is gone when the block ends, unless it was renamed.

    Folders whose makers died are deleted first: a maker holds the lock beside its folder for
    as long as it lives, and the system drops the lock of a dead process.

    Raises:
        RegistryError: it cannot be made.
    """
    with ExitStack() as held:
        with writing(storage.location):
            parent = storage.staging(model)
            parent.mkdir(parents=True, exist_ok=True)
            folder = parent / f"{HIDDEN_PREFIX}{secrets.token_hex(8)}"
            with storage.locked(model):
                _sweep(parent)
                held.enter_context(_lock_of(folder).hold())
                folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _sweep(parent: Path) -> None:
    """Delete what dead makers left. Called under the model's lock, so no new stage appears meanwhile."""
    names = {path.name.removesuffix(_LOCK) for path in parent.glob(f"{HIDDEN_PREFIX}*")}
    for name in names:
        with suppress(HeldElsewhereError), _lock_of(parent / name).hold():
            shutil.rmtree(parent / name, ignore_errors=True)


def _lock_of(folder: Path) -> ProcessLock:
    return ProcessLock(folder.with_name(f"{folder.name}{_LOCK}"), temporary=True)


@contextmanager
def writing(location: str) -> Iterator[None]:
    """Turn what the system refuses into a line for the user.

    Raises:
        RegistryError: nothing could be written; what was published before is untouched.
    """
    try:
        yield
    except OSError as error:
        what = error.strerror or str(error)
        raise RegistryError(
            f"cannot write to {location}: {what}; what was published before is untouched; "
            f"{advice(error)} --registry or --workspace"
        ) from error


@dataclass(frozen=True, slots=True)
class Stage:
    """A version in the making. Nobody sees it before `commit`; it is gone when its block ends."""

    model: str
    version: str
    """What it will be called."""
    sha256: str
    """Hex digest of the model file."""
    folder: Path
    model_path: Path
    """The model file, read from where users will load it."""

    def add(self, name: str, content: bytes | str) -> None:
        """Add a file to the version.

        Raises:
            UsageError: the name is malformed, or the registry itself writes this file.
            RegistryError: it cannot be written.
        """
        if check_file_name(name) in _WRITTEN_HERE:
            raise UsageError(f"{name} is written by the registry itself; choose another name")
        with writing(str(self.folder)):
            write_bytes(self.folder / name, content.encode() if isinstance(content, str) else content)

    def seal(self, facts: Facts, created: dt.datetime, sign_key: Path | None) -> None:
        """Write the last files: model card, signature, and last of all the manifest.

        Raises:
            UsageError: evaluation.json was not added, or the key cannot be used.
            MissingExtraError: a key is given and the 'sign' extra is not installed.
        """
        if not (self.folder / EVALUATION_FILE).is_file():
            raise UsageError(f"a version needs {EVALUATION_FILE}; add it before the commit")
        evaluation = read_json(self.folder / EVALUATION_FILE)
        write_bytes(
            self.folder / CARD_FILE, render_card(self.model, self.version, self.sha256, facts, evaluation).encode()
        )
        manifest = Manifest(
            model=self.model,
            version=self.version,
            created=created,
            files={path.name: entry_of(path.read_bytes()) for path in sorted(self.folder.iterdir())},
            **dict(facts),
        ).encode()
        if sign_key:
            write_bytes(self.folder / SIGNATURE_FILE, sign(manifest, sign_key))
        write_bytes(self.folder / MANIFEST_FILE, manifest)
        sync_directory(self.folder)
