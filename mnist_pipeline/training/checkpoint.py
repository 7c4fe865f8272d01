"""What an interrupted training leaves, so that the next one goes on: one file, whole or absent."""

import logging
import shutil
import time
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from mnist_pipeline.files import canonical_json, open_atomic
from mnist_pipeline.schema import Record
from mnist_pipeline.training.saving import Arrays
from mnist_pipeline.training.training_log import TrainingLog

logger = logging.getLogger(__name__)

ABANDONED = timedelta(days=30)
"""Whoever interrupts a training comes back to it sooner, or has changed so much that it starts anew."""


class Stored(Record):
    """The text part of the file."""

    fingerprint: str
    log: TrainingLog


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A training after one of its epochs.

    Attributes:
        log: what was measured so far.
        finished: kept weights of the members that are done.
        best: weights of the member's best epoch so far; empty before its first epoch.
        state: weights, statistics and seed states of the member in training; empty before its first epoch.
        optimizer: variables of its optimizer.
    """

    log: TrainingLog
    finished: list[Arrays] = field(default_factory=list)
    best: Arrays = field(default_factory=list)
    state: Arrays = field(default_factory=list)
    optimizer: Arrays = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class CheckpointStore:
    """Where the checkpoint of one very training lies.

    Attributes:
        folder: holds at most one checkpoint.
        fingerprint: of everything that the checkpoint's numbers depend on; another training's checkpoint is not read.
    """

    folder: Path
    fingerprint: str

    @property
    def path(self) -> Path:
        return self.folder / "training.npz"

    def save(self, checkpoint: Checkpoint) -> None:
        """Write it, whole or not at all; the one before it is replaced."""
        stored = Stored(fingerprint=self.fingerprint, log=checkpoint.log)
        arrays = {"json": np.frombuffer(canonical_json(stored.model_dump(mode="json")), dtype=np.uint8)}
        groups = {"best": checkpoint.best, "state": checkpoint.state, "optimizer": checkpoint.optimizer}
        groups |= {f"member{i}": weights for i, weights in enumerate(checkpoint.finished)}
        for name, group in groups.items():
            arrays |= {f"{name}/{i}": array for i, array in enumerate(group)}
        with open_atomic(self.path) as file:
            np.savez(file, allow_pickle=False, **arrays)

    def load(self) -> Checkpoint | None:
        """None where it is missing, broken or of another training; the last two with a warning."""
        if not self.path.exists():
            return None
        try:
            with self.path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            stored = Stored.model_validate_json(arrays.pop("json").tobytes())
        except (OSError, EOFError, KeyError, ValueError, ValidationError, zipfile.BadZipFile) as error:
            logger.warning("%s is not a whole checkpoint (%s); training starts anew", self.path, error)
            return None
        if stored.fingerprint != self.fingerprint:
            logger.warning("%s is of another training; training starts anew", self.path)
            return None
        groups: defaultdict[str, Arrays] = defaultdict(list)
        for name, array in arrays.items():  # in the order in which they were written
            groups[name.partition("/")[0]].append(array)
        finished = [group for name, group in groups.items() if name.startswith("member")]
        return Checkpoint(stored.log, finished, groups["best"], groups["state"], groups["optimizer"])


@contextmanager
def checkpoint_folder(folder: Path, key: str) -> Iterator[Path]:
    """Where the training that ``key`` names keeps its checkpoints; gone once it is done, kept where it fails."""
    own = folder / key
    remove_abandoned(folder, wanted=own)
    yield own
    shutil.rmtree(own, ignore_errors=True)


def remove_abandoned(folder: Path, wanted: Path) -> None:
    """Delete the checkpoints of trainings that nobody went on with for `ABANDONED`.

    To be called by who holds the workspace's training lock: no other training writes one meanwhile.

    Args:
        folder: holds a folder for each unfinished training.
        wanted: the folder of the training that is about to go on, however old its checkpoint is.
    """
    oldest = time.time() - ABANDONED.total_seconds()
    with suppress(OSError):  # tidying up keeps nobody from training
        for path in folder.iterdir():
            if path != wanted and max(entry.stat().st_mtime for entry in (path, *path.rglob("*"))) < oldest:
                logger.info("removing the checkpoint of a training that was abandoned: %s", path)
                shutil.rmtree(path)
