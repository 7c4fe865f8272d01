"""Worker processes, started before anything is known of the job: what they must load takes as long as ours.

This module imports nothing that takes time, so that a command can start its first worker at once.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# The folder of this package is put last, so that it is found even where it is not installed, and hides nothing.
_COMMAND = "import sys; sys.path.append(sys.argv[1]); from mnist_pipeline.scoring.worker import main; main()"

Launched = subprocess.Popen[bytes]


def launch() -> Launched:
    """A process that loads what scoring needs and waits to be told what to do; it ends when its input does."""
    return subprocess.Popen(
        [sys.executable, "-P", "-c", _COMMAND, str(Path(__file__).parents[2])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # decoders write warnings there that nobody can use
        start_new_session=True,  # Ctrl-C is for this process; it ends its workers itself
    )


@contextmanager
def launched() -> Iterator[Launched]:
    """A process of `launch` that is gone when the block ends."""
    process = launch()
    try:
        yield process
    finally:
        dismiss(process)


def dismiss(process: Launched) -> int:
    """End it at once; the exit code, negative for a signal."""
    process.kill()
    code = process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with suppress(OSError):  # what it was not told any more
                stream.close()
    return code
