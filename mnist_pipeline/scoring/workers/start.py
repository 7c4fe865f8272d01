"""How a worker process comes to life, and ends: a fork of multiprocessing's forkserver, or spawned without one.

What a worker must load takes as long as a thousand images. The forkserver loads it once, while the command itself
is still loading; it has no threads, so that forking it is safe.

This module imports nothing that takes time: a command can start its forkserver at once.
"""

import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.machinery import ModuleSpec
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from mnist_pipeline import LEAN_ENVIRONMENT

logger = logging.getLogger(__name__)

METHOD = "forkserver" if sys.platform == "linux" else "spawn"
"""Elsewhere a fork of a process that has loaded numerical libraries is not safe, or there is none."""
PRELOADED = "mnist_pipeline.scoring.workers.preload"
ENVIRONMENT = {
    **LEAN_ENVIRONMENT,
    # glibc: arrays that come and go with every shard stay in the process, not handed back and zeroed again.
    "MALLOC_MMAP_THRESHOLD_": str(16 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
    # A thread that waits for an object store needs no address space of its own, which is limited.
    "MALLOC_ARENA_MAX": "2",
    # No code from the current folder.
    "PYTHONSAFEPATH": "1",
}
"""Of the forkserver and of workers, but for what the user has set otherwise."""
PARENT_IS_GONE = 3
"""Exit code."""

_lock = threading.RLock()


def start_forkserver() -> None:
    """Begin to load what workers need; do not wait for it. A process has one forkserver, which ends with it."""
    with suppress(OSError):  # what fails is tried again, and said, when there is work
        _ensure_forkserver()


def start_process(target: Callable[..., None], *arguments: object) -> BaseProcess:
    """A new process. It is told nothing of the caller's ``__main__``, so it does not run a script a second time.

    Args:
        target: a function of an importable module.
        arguments: what it is called with.

    Raises:
        OSError: no further process can be had.
    """
    try:
        return _start(target, arguments)
    except (ConnectionError, EOFError):  # somebody killed the forkserver just now
        with suppress(EOFError):
            return _start(target, arguments)
    raise ChildProcessError("the process that is to be forked has ended")


def exit_code(process: BaseProcess, seconds: float) -> int | None:
    """How a process ended, if it does so within some seconds; negative for a signal."""
    if not wait([process.sentinel], seconds):
        return None
    with _lock:  # whoever starts a process looks after all the others, and each code can be read but once
        process.join()
        return process.exitcode


def _start(target: Callable[..., None], arguments: tuple[object, ...]) -> BaseProcess:
    process: BaseProcess
    with _lock:
        if _method() == "forkserver":
            process = multiprocessing.get_context("forkserver").Process(target=target, args=arguments, daemon=True)
            with _unbound():
                process.start()
        else:
            process = multiprocessing.get_context("spawn").Process(target=target, args=arguments, daemon=True)
            with _inherited(), _unbound():
                process.start()
    return process


def _method() -> str:
    if METHOD == "forkserver":
        try:
            _ensure_forkserver()
        except OSError as error:  # no room for its socket; or this process is a fork of one that has a forkserver
            logger.info("workers load for themselves: %s", error)
            return "spawn"
    return METHOD


def _ensure_forkserver() -> None:
    if METHOD == "forkserver":
        from multiprocessing import forkserver

        with _lock, _inherited():
            multiprocessing.set_forkserver_preload([PRELOADED])
            forkserver.ensure_running()


@contextmanager
def _inherited() -> Iterator[None]:
    """A process that starts in the block has the variables above and standard streams, and Ctrl-C does not reach it."""
    from multiprocessing import resource_tracker

    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:  # closed, and the next file to be opened would be taken for it
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    added = {name: value for name, value in ENVIRONMENT.items() if name not in os.environ}
    os.environ.update(added)
    try:
        if sys.platform == "win32":
            yield
            return
        resource_tracker.ensure_running()  # which lets the signal through again
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    finally:
        for name in added:
            os.environ.pop(name, None)


@contextmanager
def _unbound() -> Iterator[None]:
    """Processes that start in the block do not import ``__main__``, and a daemonic process may start them.

    multiprocessing leaves the main module alone where that is the ``__main__`` of a package. It forbids children
    to daemonic processes, such as the workers of Dask, because they would be left behind: ours end by themselves.
    """
    main, process = sys.modules["__main__"], multiprocessing.current_process()
    spec, daemon = main.__spec__, process.daemon
    main.__spec__ = ModuleSpec("__main__", None)
    try:
        process.daemon = False
        yield
    finally:
        main.__spec__, process.daemon = spec, daemon


@contextmanager
def working(environment: Mapping[str, str]) -> Iterator[None]:
    """This process is a worker while the block runs: silent, deaf to Ctrl-C, and at its end as soon as its parent is.

    Args:
        environment: variables, as they are now; those of the forkserver are as old as itself.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is for the parent, which ends its workers itself
    if sys.platform != "win32" and multiprocessing.get_start_method() == "spawn":
        os.setsid()  # as the forkserver has done
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.clear()
    os.environ.update(ENVIRONMENT | dict(environment))
    with silenced(), suppress(EOFError, OSError):  # the connection is closed
        yield


def _end_with_parent() -> None:
    """Whatever the other threads are at: an image may take for ever, and nobody is left to look at the clock."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(PARENT_IS_GONE)


@contextmanager
def silenced() -> Iterator[None]:
    """What this process writes to its standard output or error in the block, native code included, goes nowhere.

    Decoders and numerical libraries write warnings that nobody can use.
    """
    kept = []
    for descriptor in (1, 2):
        with suppress(OSError):  # closed
            kept.append((descriptor, os.dup(descriptor)))
    with Path(os.devnull).open("wb") as nowhere:
        for descriptor, _ in kept:
            os.dup2(nowhere.fileno(), descriptor)
    try:
        yield
    finally:
        for descriptor, copy in kept:
            os.dup2(copy, descriptor)
            os.close(copy)


def limit_memory(megabytes: int) -> None:
    """From here on, this process may take so much more address space; where the platform can say so."""
    try:
        import resource

        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except (ImportError, OSError):
        return
    wanted = used + megabytes * 1_000_000
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))
