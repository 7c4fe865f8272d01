"""Locks between processes: files that one process at a time holds, and nobody once that process is gone."""

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from mnist_pipeline.errors import PipelineError
from mnist_pipeline.files.writing import Identity, identity

NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}
"""What file systems answer that have no locks: some network shares and containers' mounts."""
LOOK_SECONDS = 1.0
"""How long a lock may be taken by somebody who only looks (`is_held`)."""


class HeldElsewhereError(Exception):
    """Another process, or another lock of this one, holds it."""


class ProcessLock:
    """A lock file. Re-entrant in the thread that holds it.

    It is the system's lock on the open file (`flock` where there is one), which goes with its process however that
    ends. A lock on a file that has lost its name keeps nobody out, so whoever gets one looks whether the name still
    leads to that very file, and else tries again; and a temporary file is removed by its holder alone, who still
    holds it. Opening the name anew asks the server of a network file system, where a mere look may be answered from
    memory.

    Args:
        path: the file; its folder is made where it is missing.
        temporary: remove the file with the lock. Else it stays, one for all times.
    """

    def __init__(self, path: Path, *, temporary: bool = False) -> None:
        from filelock import FileLock

        self.path = path
        self._temporary = temporary
        self._locked: list[Identity | None] = []
        # An existence lock in place of the system's would outlive a killed process.
        self._lock = FileLock(path, on_acquired=partial(_note, self._locked), fallback_to_soft=False)

    @contextmanager
    def hold(self, seconds: float = 0, busy: PipelineError | None = None) -> Iterator[None]:
        """Keep all others out while the block runs.

        Args:
            seconds: how long to wait for another holder.
            busy: what is raised in the place of `HeldElsewhereError`: why it is held, for the user.

        Raises:
            HeldElsewhereError: another holder did not let go in time.
            PipelineError: the file system has no locks.
            OSError: the file cannot be written.
        """
        try:
            self._acquire(time.monotonic() + seconds)
        except HeldElsewhereError as error:
            raise busy or error from None
        try:
            yield
        finally:
            if self._temporary and self._lock.lock_counter == 1:
                with suppress(OSError):  # it stays where open files cannot be removed
                    self.path.unlink()
            self._lock.release()

    def _acquire(self, deadline: float) -> None:
        from filelock import Timeout

        new = not self.path.exists()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            while True:
                self._lock.acquire(timeout=max(0.0, deadline - time.monotonic()))
                named = False
                try:
                    if named := self._has_its_name():
                        return
                finally:
                    if not named:
                        self._lock.release()
        except Timeout:
            raise HeldElsewhereError(f"{self.path} is held by another process") from None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            if new and self._temporary:
                self.path.unlink(missing_ok=True)
            raise PipelineError(
                f"{self.path} cannot be locked ({error.strerror}): its file system has no locks; "
                "name a folder on one that has, such as a local disk"
            ) from None

    def _has_its_name(self) -> bool:
        try:
            descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        except FileNotFoundError:
            return False
        try:
            return [identity(descriptor)] == self._locked
        finally:
            os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether somebody holds the lock, also where nothing can be written. Where nothing can be locked, nobody does."""
    if not path.is_file():
        return False
    try:
        with ProcessLock(path).hold():
            return False
    except HeldElsewhereError:
        return True
    except OSError:
        return _is_locked(path)
    except PipelineError:
        return False


def _is_locked(path: Path) -> bool:
    """As `is_held`, of a file that can only be read."""
    try:
        import fcntl
    except ImportError:  # not on Windows
        return False
    with suppress(OSError), path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _note(locked: list[Identity | None], descriptor: int) -> None:
    """Which file was locked; not a method, so that a lock is gone as soon as nobody has it any more."""
    locked[:] = [identity(descriptor)]
