"""Samples drawn by several processes: the same, however many they are.

The rows are cut into blocks, each with random numbers of its own, so that nothing depends on who draws a block. Each
process draws every n-th block and sends them back together.

    python -P -m mnist_pipeline.rejection.blocks     reads a pickled `Share`, writes its pickled blocks
"""

import logging
import os
import pickle
import subprocess
import sys
import threading
from contextlib import suppress
from typing import IO, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline import LEAN_ENVIRONMENT
from mnist_pipeline.rejection.classes import Samples
from mnist_pipeline.rejection.samples import draw_samples

logger = logging.getLogger(__name__)

BLOCK_ROWS = 480
"""A multiple of every number by which `draw_samples` divides its rows, which also takes all kinds of scenes equally
often: blocks of that size lose no remainder."""
COMMAND = (sys.executable, "-P", "-m", __name__)
"""A process of its own, not a fork: the caller may have threads. -P: no module of the current folder."""
CALLER_IS_GONE = 3


class Share(NamedTuple):
    """What one process draws.

    Attributes:
        images: uint8 [n, 28, 28] of train rows.
        labels: uint8 [n].
        seed: of all blocks.
        blocks: number of a block -> how many rows are shown in it.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    seed: int
    blocks: dict[int, int]

    def draw(self) -> dict[int, Samples]:
        """Number of a block -> its samples."""
        return {
            number: draw_samples(self.images, self.labels, rows, np.random.default_rng((self.seed, number)))
            for number, rows in self.blocks.items()
        }


def draw_blocks(images: NDArray[np.uint8], labels: NDArray[np.uint8], rows: int, seed: int, processes: int) -> Samples:
    """`draw_samples` of blocks of ``rows``, in their order; the same for the same ``seed``, whatever ``processes``.

    What a process does not bring back, because it was killed or could not be started, is drawn here.

    Args:
        images: uint8 [n, 28, 28] of train rows; may be a memory map.
        labels: uint8 [n].
        rows: how many of them are shown as they are.
        seed: of the random numbers.
        processes: how many draw, where there are as many blocks; with one, this process does.

    Raises:
        MissingExtraError: the stroke fonts are not installed.
    """
    sizes = [len(part) for part in np.array_split(np.arange(rows), max(1, rows // BLOCK_ROWS))]
    whole = Share(np.asarray(images), np.asarray(labels), seed, dict(enumerate(sizes)))
    drawn: dict[int, Samples] = {}
    if min(processes, len(sizes)) > 1:
        numbers = [range(first, len(sizes), processes) for first in range(min(processes, len(sizes)))]
        drawn = _draw_elsewhere([whole._replace(blocks={n: sizes[n] for n in some}) for some in numbers])
    drawn |= whole._replace(blocks={n: size for n, size in whole.blocks.items() if n not in drawn}).draw()
    return Samples(*(np.concatenate(one) for one in zip(*(drawn[n] for n in range(len(sizes))), strict=True)))


def _draw_elsewhere(shares: list[Share]) -> dict[int, Samples]:
    """The blocks of those shares that a process of their own brought back."""
    children: list[subprocess.Popen[bytes]] = []
    drawn: dict[int, Samples] = {}
    try:
        for share in shares:
            with suppress(OSError):
                children.append(_start(share))
        for child in children:
            drawn |= _receive(child)
    finally:
        for child in children:
            child.kill()
            with suppress(OSError), child:
                pass  # wait for its end, and close its pipes
    return drawn


def _start(share: Share) -> "subprocess.Popen[bytes]":
    child = subprocess.Popen(
        COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **LEAN_ENVIRONMENT, "OPENCV_FOR_THREADS_NUM": "1"},
    )
    stdin = cast("IO[bytes]", child.stdin)
    with suppress(OSError):  # it is dead, which is noticed when it is asked for its blocks
        pickle.dump(share, stdin)
        stdin.flush()
    return child


def _receive(child: "subprocess.Popen[bytes]") -> dict[int, Samples]:
    try:
        found: dict[int, Samples] = pickle.load(cast("IO[bytes]", child.stdout))  # noqa: S301 - written by this very module
    except (OSError, EOFError, pickle.UnpicklingError):
        logger.warning("a process that drew pictures ended early (exit code %s): drawing its share here", child.wait())
        return {}
    return found


def _main() -> None:
    """Draw the share that standard input brings; end when whoever wants it is gone."""
    share: Share = pickle.load(sys.stdin.buffer)  # noqa: S301 - written by this very module
    threading.Thread(target=_end_with_caller, daemon=True).start()
    pickle.dump(share.draw(), sys.stdout.buffer)
    sys.stdout.buffer.flush()


def _end_with_caller() -> None:
    """The caller keeps its end of standard input open for as long as it lives."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(CALLER_IS_GONE)


if __name__ == "__main__":
    _main()
