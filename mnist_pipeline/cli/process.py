"""What a command needs of its process: an end in order, and a home."""

import gc
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mnist_pipeline import LEAN_ENVIRONMENT
from mnist_pipeline.errors import UsageError

AGAIN_SECONDS = 0.05
ENDING = {getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)}
"""Signals that end a command."""
_noted: list[int] = []
"""Where to read which signals have come, as the interpreter notes them itself, whatever becomes of their handlers."""


def end_as_interrupted() -> None:
    """Let SIGTERM and SIGHUP end the command as Ctrl-C does.

    The default would leave no time to tidy up; and the first process of a container has none: it would not end at all.
    """
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # SIGHUP is not everywhere
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:  # nohup has switched SIGHUP off
            signal.signal(number, signal.default_int_handler)
    sys.unraisablehook = _interrupt_again
    if sys.platform != "win32":  # which takes sockets only
        read, write = os.pipe()
        os.set_blocking(read, False)
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        _noted.append(read)


def interrupt_if_told() -> None:
    """Raise the interrupt again where a signal told the command to end, and what was raised then came to nothing.

    Native code that calls Python may drop it without a word. Who goes on with the work calls this now and then.

    Raises:
        KeyboardInterrupt: a signal has come, and the command is still at work.
    """
    for pipe in _noted:
        with suppress(BlockingIOError):
            if ENDING.intersection(os.read(pipe, 4096)):
                raise KeyboardInterrupt


def _interrupt_again(dropped: "sys.UnraisableHookArgs") -> None:
    """Repeat an interrupt that met a destructor or the callback of a weak reference: Python drops what those raise.

    TensorFlow has many such callbacks. The command would go on as if nobody had told it to end.
    """
    if dropped.exc_type is None or issubclass(dropped.exc_type, Exception):
        sys.__unraisablehook__(dropped)
    else:
        later = threading.Timer(AGAIN_SECONDS, _interrupt)  # once the callback has returned
        later.daemon = True
        later.start()


def _interrupt() -> None:
    number = next((one for one in (signal.SIGTERM, signal.SIGINT) if callable(signal.getsignal(one))), signal.SIGINT)
    if sys.platform == "win32":
        signal.raise_signal(number)
    else:
        signal.pthread_kill(threading.main_thread().ident or 0, number)  # a call that waits returns


def start_lean() -> None:
    """Give the process `LEAN_ENVIRONMENT`, but for what the user has set otherwise."""
    for name, value in LEAN_ENVIRONMENT.items():
        os.environ.setdefault(name, value)


@contextmanager
def no_collector() -> Iterator[None]:
    """What is loaded in the block stays: to look through it for garbage would cost time and free nothing."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def stand_in_for_home() -> None:
    """Give a user without a home a folder among the temporary ones: TensorFlow and Prefect keep theirs there.

    That is who has no HOME and no entry in the password database, as in a container with a user id of its own.

    Raises:
        UsageError: there is such a folder, and it is somebody else's.
    """
    try:
        Path.home()
    except RuntimeError:
        home = Path(tempfile.gettempdir()) / f"mnist-pipeline-{os.getuid()}"
        home.mkdir(mode=0o700, exist_ok=True)
        status = home.lstat()
        if status.st_uid != os.getuid() or status.st_mode & 0o077:
            raise UsageError(f"HOME is not set, and {home} could be read or made by others; set HOME") from None
        os.environ["HOME"] = str(home)
