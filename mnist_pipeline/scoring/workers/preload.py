"""What the forkserver imports before it forks the first worker. Nobody else imports this module."""

import atexit
import gc
import os
import signal
import sys
from contextlib import suppress
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

from mnist_pipeline.scoring.workers.start import silenced


def _load() -> None:
    """Import what the work needs, while nobody is waiting for it yet."""
    gc.disable()
    with silenced(), suppress(Exception):  # whatever is missing is reported when it is needed
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401

        import mnist_pipeline.inference
        import mnist_pipeline.scoring.classify
        import mnist_pipeline.scoring.shards
        import mnist_pipeline.scoring.workers.worker  # noqa: F401
    # All this stays: the collector need not look at it again, nor touch its pages, which forks share.
    gc.freeze()
    gc.enable()


def _end() -> None:
    """The command and its workers are gone. If it was killed, the socket through which it asked for forks is left."""
    server: Any = forkserver._forkserver
    with suppress(OSError):
        socket = Path(server._forkserver_address)
        socket.unlink()
        socket.parent.rmdir()
    os._exit(0)  # somebody may wait for the end of its output: no time for taking libraries down one by one


def _leave_the_terminal() -> None:
    """Ctrl-C is for the command, which ends its workers; Ctrl-Z would look as if an image took its time."""
    with suppress(PermissionError):  # it has a session of its own
        os.setsid()
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)  # forget the one that was held back until now
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGINT, handler)


# What goes wrong, such as a fork for which there is no room, is said by whoever asked for it.
sys.excepthook = lambda *_: None
atexit.register(_end)
_leave_the_terminal()
_load()
