"""What may be written, and what the system refuses, as one line for the user.

`check_destinations` is asked before any work: nothing that is there is lost by it.
"""

import errno
import os
import re
import stat
import tempfile
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mnist_pipeline.errors import PipelineError, UsageError

Replace = Literal["nothing", "own", "anything"]
"""What may be replaced: nothing, what an earlier run of the same command wrote, or any file that is no input."""
Identity = tuple[int, int]
"""Device and inode: what is the same file under whatever name."""
_SCHEME = re.compile(r"(s3a?|gs|gcs|az|abfss?|hdfs|https?|ftp|file):")
FULL = {errno.ENOSPC, errno.EDQUOT}
_REFUSALS = FULL | {
    errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.EFBIG, errno.EIO,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Destination:
    """A file that is to be written.

    Attributes:
        option: what names it, for messages.
        path: absolute.
        is_own: whether the file that is there was written by an earlier run of the same command.
    """

    option: str
    path: Path
    is_own: Callable[[], bool] = lambda: False

    def __str__(self) -> str:
        return f"{self.option} {self.path}"


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a command reads, and must not write.

    Attributes:
        files: what each one is.
        folders: what the files in each of them are, but for hidden ones, and for what the command itself wrote there.
        sealed: folders in which nothing is ever written.
    """

    files: Mapping[Identity, str] = field(default_factory=dict)
    folders: Mapping[Path, str] = field(default_factory=dict)
    sealed: Sequence[Path] = ()


def identity(path: str | os.PathLike[str] | bytes | int) -> Identity | None:
    """Of the file that a path leads to, or that is open; None where it does not exist."""
    try:
        status = os.stat(path)  # noqa: PTH116 - names are bytes, descriptors are numbers
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def check_destinations(
    destinations: Sequence[Destination],
    inputs: Inputs,
    replace: Replace,
    how: str = "--overwrite replaces it",
    reserved: Sequence[Path] = (),
) -> None:
    """Refuse what would destroy something, or could not be written in the end. Changes nothing.

    Args:
        destinations: all that the command writes.
        inputs: all that it reads.
        replace: what may be replaced.
        how: what lets a file be replaced, for the message.
        reserved: hidden files and folders that the command uses meanwhile.

    Raises:
        UsageError: one is an input, another destination, or a file that must not be replaced; or is no file.
    """
    for place, destination in enumerate(destinations):
        _check_name(destination)
        _check_others(destination, destinations[:place], reserved)
        _check_inputs(destination, inputs)
        if not os.path.lexists(destination.path) or replace == "anything":
            continue
        if replace == "nothing":
            raise UsageError(f"{destination} exists; {how}")
        if not destination.is_own():
            raise UsageError(f"{destination} was not written by this command; --overwrite replaces it")


def require_folders(paths: Iterable[Path]) -> None:
    """Make the folders of the paths, and see whether a file can be made in each.

    Raises:
        PipelineError: one cannot be written; names it.
    """
    for path in paths:
        try:
            check_writable(path.parent)
        except OSError as error:
            why = "is no folder" if isinstance(error, FileExistsError) else f"cannot be written: {error.strerror}"
            raise PipelineError(f"{path.parent} {why}; name another folder") from None


def _check_name(destination: Destination) -> None:
    path = destination.path
    if any(map(_SCHEME.fullmatch, path.parts)):
        raise UsageError(f"{destination}: is no local file; name one, and copy it to where it is wanted")
    try:
        path.lstat()
        kind = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    except ValueError:
        raise UsageError(f"{destination}: no file has such a name") from None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise UsageError(f"{destination}: the name is too long; choose a shorter one") from None
        raise PipelineError(f"{destination} cannot be written: {error.strerror}; name another file") from None
    if stat.S_ISDIR(kind):
        raise UsageError(f"{destination}: is a folder; name a file")
    if not stat.S_ISREG(kind):
        raise UsageError(f"{destination}: is no regular file; name another one")


def _check_others(destination: Destination, others: Sequence[Destination], reserved: Sequence[Path]) -> None:
    own, same = _folded(destination.path), identity(destination.path)
    for other in others:
        if own == _folded(other.path) or (same is not None and same == identity(other.path)):
            raise UsageError(f"{destination}: {other.option} writes the same file; name another one")
    for path in reserved:
        if own == _folded(path) or own.startswith(_folded(path) + os.sep):
            raise UsageError(f"{destination}: is used while the command runs; name another one")


def _folded(path: Path) -> str:
    """Equal for names that some file system takes for the same: letters of either case, accents of either form."""
    return unicodedata.normalize("NFC", os.path.realpath(path)).casefold()


def _check_inputs(destination: Destination, inputs: Inputs) -> None:
    real = Path(os.path.realpath(destination.path))
    for folder in inputs.sealed:
        if Path(os.path.realpath(folder)) in real.parents:
            raise UsageError(f"{destination}: lies in {folder}, where nothing is ever changed; name another folder")
    if (same := identity(destination.path)) is None:
        return
    if same in inputs.files:
        raise UsageError(f"{destination}: is {inputs.files[same]}; name another file")
    for folder, what in inputs.folders.items():
        if _is_listed(real, folder) and not destination.is_own():
            raise UsageError(f"{destination}: is {what} {folder}; name another file")


def _is_listed(real: Path, folder: Path) -> bool:
    root = Path(os.path.realpath(folder))
    return root in real.parents and not any(part.startswith(".") for part in real.relative_to(root).parts)


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
