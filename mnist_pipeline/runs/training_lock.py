"""One training at a time in a workspace, by a lock that a dead process does not hold."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from mnist_pipeline.errors import PipelineError
from mnist_pipeline.files import write_json
from mnist_pipeline.schema import Record
from mnist_pipeline.workspace import Workspace

LOCK, NOTE = "training.lock", "training.json"
LOOK_SECONDS = 1.0
"""How long the lock may be taken by somebody who only looks (`find_training`)."""


class Holder(Record):
    """Who trains: ``training.json`` beside the lock, for the message that another one gets."""

    process: int
    host: str
    since: datetime


@contextmanager
def only_training(workspace: Workspace) -> Iterator[None]:
    """Keep every other training out of the workspace while the block runs.

    The lock is the system's (`flock` where there is one): it goes with its process, however that ends.

    Raises:
        PipelineError: another training runs; names it.
    """
    from filelock import FileLock, Timeout

    workspace.locks.mkdir(parents=True, exist_ok=True)
    note = workspace.locks / NOTE
    lock = FileLock(workspace.locks / LOCK)
    try:
        lock.acquire(timeout=LOOK_SECONDS)
    except Timeout:
        raise PipelineError(
            f"another training runs in {workspace.root} ({_describe(_read(note))}); "
            "wait until it ends, or name another --workspace"
        ) from None
    try:
        holder = Holder(process=os.getpid(), host=socket.gethostname(), since=datetime.now(UTC))
        write_json(note, holder.model_dump(mode="json"))
        yield
    finally:
        lock.release()


def find_training(workspace: Workspace) -> Holder | None:
    """Who trains in the workspace now; None where nobody does."""
    from filelock import FileLock, Timeout

    path = workspace.locks / LOCK
    if not path.is_file():
        return None
    try:
        with FileLock(path, blocking=False):
            return None
    except Timeout:
        return _read(workspace.locks / NOTE)
    except OSError:  # a lock that cannot be written is nobody's here
        return None


def _describe(found: Holder | None) -> str:
    if found is None:
        return "it has not said which process it is"
    return f"process {found.process} on {found.host}, since {found.since:%Y-%m-%d %H:%M} UTC"


def _read(note: Path) -> Holder | None:
    try:
        return Holder.model_validate_json(note.read_bytes())
    except (OSError, ValidationError):
        return None
