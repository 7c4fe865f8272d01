"""Worker processes: where they come from, and how to talk to one.

What a worker must load takes as long as a thousand images. So one process, the nursery, loads it once, while the
command itself is still loading, and every worker is a fork of it: it has no threads, so that forking is safe. Where
there is no fork, each worker loads for itself.

This module imports nothing that takes time: a command can start its nursery at once.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, Protocol, Self

# The folder of this package is put last, so that it is found even where it is not installed, and hides nothing.
_START = "import sys; sys.path.append(sys.argv[1]); from mnist_pipeline.scoring import worker; "
_NURSERY = _START + "worker.nurse(int(sys.argv[2]))"
_WORKER = _START + "worker.main()"
# One process for each core: threads of the numerical libraries would only be in the way.
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
# To look for plugins of pydantic is to read what every installed package says of itself.
_NO_PLUGINS = {"PYDANTIC_DISABLE_PLUGINS": "__all__"}
# glibc: arrays that come and go with every shard stay in the process, not handed back and zeroed again.
_KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(16 << 20), "MALLOC_TRIM_THRESHOLD_": str(64 << 20)}
# A thread that waits for an object store needs no address space of its own, which is limited.
_KEEP_MEMORY |= {"MALLOC_ARENA_MAX": "2"}
FORKS = sys.platform == "linux"
"""Elsewhere a fork of a process that has loaded numerical libraries is not safe, or there is none."""
FORK = b"f"
"""What the nursery is told, together with the file descriptor of the new worker's socket."""
GRACE_SECONDS = 5.0
"""For the nursery to tell how a worker ended."""


class Channel(Protocol):
    """A worker process: lines in, lines out, and its end."""

    requests: IO[bytes]
    answers: IO[bytes]
    pid: int | None
    """Known once its first line was read."""

    def kill(self) -> None:
        """Stop it if it still runs; its answers end."""
        ...

    def close(self) -> int | None:
        """Clean up after it ended; the exit code, negative for a signal, None where nobody knows."""
        ...


class Nursery:
    """Starts workers. Use it as a context manager: leaving it ends it, and every worker that it forked."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._codes: dict[int, int] = {}
        self._changed = threading.Condition()
        self._starting = threading.Lock()
        if FORKS:
            self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> None:
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = _popen(_NURSERY, str(theirs.fileno()), fds=(theirs.fileno(),))
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def close(self) -> None:
        """End it, and every worker that it forked."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(OSError):
                self._control.shutdown(socket.SHUT_RDWR)  # it kills its workers and ends
            process.wait()
            self._listener.join()
            self._control.close()

    def worker(self) -> Channel:
        """A new worker.

        Raises:
            OSError: no further process can be had.
        """
        if not FORKS:
            return _Spawned()
        with self._starting:  # a worker, or a new nursery: several pools may be asking
            try:
                return self._fork()
            except OSError:  # somebody killed the nursery
                self.close()
                self._open()
                return self._fork()

    def _fork(self) -> Channel:
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                socket.send_fds(self._control, [FORK], [theirs.fileno()])
        except OSError:
            ours.close()
            raise
        return _Forked(ours, self)

    def has_ended(self, pid: int) -> bool:
        """The worker is gone, and its process id may be another's."""
        with self._changed:
            return pid in self._codes

    def code_of(self, pid: int) -> int | None:
        """How the worker ended; it has, or is about to."""
        with self._changed:
            self._changed.wait_for(lambda: pid in self._codes or not self._listener.is_alive(), GRACE_SECONDS)
            return self._codes.get(pid)

    def _listen(self) -> None:
        """Take note of the workers that ended: a line each, process id and exit code."""
        with self._control.makefile("rb") as lines, suppress(OSError):
            for line in lines:
                pid, code = line.split()
                with self._changed:
                    self._codes[int(pid)] = int(code)
                    self._changed.notify_all()


class _Forked:
    """A worker that the nursery forked. The first line that it says is its process id."""

    def __init__(self, connection: socket.socket, nursery: Nursery) -> None:
        self._connection = connection
        self._nursery = nursery
        self.requests: IO[bytes] = connection.makefile("wb")
        self.answers: IO[bytes] = connection.makefile("rb")
        self.pid: int | None = None

    def kill(self) -> None:
        if self.pid is not None and not self._nursery.has_ended(self.pid):
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> int | None:
        for stream in (self.requests, self.answers, self._connection):
            with suppress(OSError):  # what it was not told any more
                stream.close()
        return None if self.pid is None else self._nursery.code_of(self.pid)


class _Spawned:
    """A worker that loads for itself."""

    def __init__(self) -> None:
        self._process = _popen(_WORKER, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("both are pipes")
        self.requests: IO[bytes] = self._process.stdin
        self.answers: IO[bytes] = self._process.stdout
        self.pid: int | None = self._process.pid

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> int | None:
        for stream in (self.requests, self.answers):
            with suppress(OSError):
                stream.close()
        return self._process.wait()


def _popen(
    code: str,
    *arguments: str,
    fds: tuple[int, ...] = (),
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-P", "-c", code, str(Path(__file__).parents[2]), *arguments],
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.DEVNULL,  # decoders write warnings there that nobody can use
        pass_fds=fds,
        start_new_session=True,  # Ctrl-C is for this process; it ends its workers itself
        env=_ONE_THREAD | _NO_PLUGINS | _KEEP_MEMORY | dict(os.environ),
    )
