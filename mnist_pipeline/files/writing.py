"""What the system refuses to whoever writes into a workspace, as one line for the user."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mnist_pipeline.errors import PipelineError

FULL = {errno.ENOSPC, errno.EDQUOT}
_REFUSALS = FULL | {
    errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.EFBIG, errno.EIO,
}  # fmt: skip


@contextmanager
def writing(workspace: Path) -> Iterator[None]:
    """Say in one line why a block cannot write below ``workspace``: at once, if nothing can be written there.

    Raises:
        PipelineError: it cannot be written; whatever else the block raises stays what it is.
    """
    with refusals(workspace):
        check_writable(workspace)
        yield


@contextmanager
def refusals(workspace: Path) -> Iterator[None]:
    """As `writing`, for a block that may not write at all."""
    try:
        yield
    except OSError as error:
        if error.errno not in _REFUSALS or not _is_below(error.filename, workspace):
            raise
        raise refusal(error, workspace) from error


def check_writable(folder: Path) -> None:
    """Make the folder, and a file in it that nobody sees.

    Raises:
        OSError: why that is not possible; of the folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        error.filename = os.fspath(folder)
        raise


def refusal(error: OSError, workspace: Path) -> PipelineError:
    """The error for the user."""
    reason = error.strerror or str(error)
    path = os.fsdecode(error.filename or workspace)
    where = "" if Path(path) == workspace else f": {path}"
    return PipelineError(f"the workspace {workspace} cannot be written: {reason}{where}; {advice(error)} --workspace")


def advice(error: OSError) -> str:
    """What to do, to be followed by the option that names the folder."""
    full = "free some space, or " if error.errno in FULL else ""
    return f"{full}name a folder that can be written with"


def _is_below(path: str | bytes | int | None, workspace: Path) -> bool:
    """Whether an error may be about the workspace; the failed write itself names no file."""
    if not isinstance(path, str | bytes):
        return True
    return Path(os.fsdecode(path)).is_relative_to(workspace)
