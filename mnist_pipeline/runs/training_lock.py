"""One training at a time in a workspace, by a lock that a dead process does not hold."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from mnist_pipeline.errors import PipelineError
from mnist_pipeline.files import write_json
from mnist_pipeline.files.locks import LOOK_SECONDS, HeldElsewhereError, ProcessLock, is_held
from mnist_pipeline.files.writing import refusal
from mnist_pipeline.runs.wording import moment
from mnist_pipeline.schema import Record
from mnist_pipeline.workspace import Workspace

LOCK, NOTE = "training.lock", "training.json"
UNKNOWN = "it has not said which process it is"


class Holder(Record):
    """Who trains: ``training.json`` beside the lock, for the message that another one gets."""

    process: int
    host: str
    since: datetime


@contextmanager
def only_training(workspace: Workspace) -> Iterator[None]:
    """Keep every other training out of the workspace while the block runs.

    Raises:
        PipelineError: another training runs; names it. Or the workspace cannot be written or locked.
    """
    note = workspace.locks / NOTE
    with ExitStack() as held:
        try:
            held.enter_context(ProcessLock(workspace.locks / LOCK).hold(LOOK_SECONDS))
            holder = Holder(process=os.getpid(), host=socket.gethostname(), since=datetime.now(UTC))
            write_json(note, holder.model_dump(mode="json"))
        except HeldElsewhereError:
            found = _read(note)
            who = f"process {found.process} on {found.host}, since {moment(found.since)}" if found else UNKNOWN
            raise PipelineError(
                f"another training runs in {workspace.root} ({who}); wait until it ends, or name another --workspace"
            ) from None
        except OSError as error:
            raise refusal(error, workspace.root) from error
        yield


def find_training(workspace: Workspace) -> Holder | None:
    """Who trains in the workspace now; None where nobody does."""
    return _read(workspace.locks / NOTE) if is_held(workspace.locks / LOCK) else None


def _read(note: Path) -> Holder | None:
    try:
        return Holder.model_validate_json(note.read_bytes())
    except (OSError, ValidationError):
        return None
