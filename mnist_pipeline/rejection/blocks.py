"""Samples drawn by several processes: the same, however many they are.

The rows are cut into blocks, each with random numbers of its own, so that nothing depends on who draws a block. Each
process draws every n-th block and sends them back one by one.

    python -P -m mnist_pipeline.rejection.blocks     reads a pickled `Share`, writes its pickled blocks
"""

import logging
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
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

    def draw(self) -> Iterator[tuple[int, Samples]]:
        """Number of a block, and its samples."""
        for number, rows in self.blocks.items():
            yield number, draw_samples(self.images, self.labels, rows, np.random.default_rng((self.seed, number)))


def draw_blocks(
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    rows: int,
    seed: int,
    processes: int,
    report: Callable[[int], None] = lambda _: None,
) -> Samples:
    """`draw_samples` of blocks of ``rows``, in their order; the same for the same ``seed``, whatever ``processes``.

    What a process does not bring back, because it was killed or could not be started, is drawn here.

    Args:
        images: uint8 [n, 28, 28] of train rows; may be a memory map.
        labels: uint8 [n].
        rows: how many of them are shown as they are.
        seed: of the random numbers.
        processes: how many draw, where there are as many blocks; with one, this process does.
        report: is told after each block how many of the rows are done.

    Raises:
        MissingExtraError: the stroke fonts are not installed.
    """
    sizes = [len(part) for part in np.array_split(np.arange(rows), max(1, rows // BLOCK_ROWS))]
    whole = Share(np.asarray(images), np.asarray(labels), seed, dict(enumerate(sizes)))
    drawn: dict[int, Samples] = {}
    for number, samples in _draw(whole, min(processes, len(sizes))):
        drawn[number] = samples
        report(sum(sizes[number] for number in drawn))
    return Samples(*(np.concatenate(one) for one in zip(*(drawn[number] for number in whole.blocks), strict=True)))


def _draw(whole: Share, processes: int) -> Iterator[tuple[int, Samples]]:
    """Each block once: by processes of their own, where there are several, and here what those did not bring back."""
    missing = dict(whole.blocks)
    if processes > 1:
        for number, samples in _draw_elsewhere(whole, processes):
            del missing[number]
            yield number, samples
    yield from whole._replace(blocks=missing).draw()


def _draw_elsewhere(whole: Share, processes: int) -> Iterator[tuple[int, Samples]]:
    """The blocks that so many processes bring back, taken in turns."""
    children: dict[int, subprocess.Popen[bytes]] = {}
    try:
        for first in range(processes):
            blocks = {number: rows for number, rows in whole.blocks.items() if number % processes == first}
            with suppress(OSError):
                children[first] = _start(whole._replace(blocks=blocks))
        alive = dict(children)
        for number in whole.blocks:
            child = alive.get(number % processes)
            block = None if child is None else _receive(child)
            if block is None:
                alive.pop(number % processes, None)
            else:
                yield block
    finally:
        for child in children.values():
            child.kill()
            with suppress(OSError), child:
                pass  # wait for its end, and close its pipes


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


def _receive(child: "subprocess.Popen[bytes]") -> tuple[int, Samples] | None:
    """Its next block; None where it ended early."""
    try:
        block: tuple[int, Samples] = pickle.load(cast("IO[bytes]", child.stdout))  # noqa: S301 - written by this very module
    except (OSError, EOFError, pickle.UnpicklingError):
        logger.warning("a process that drew pictures ended early (exit code %s): drawing its share here", child.wait())
        return None
    return block


def _main() -> None:
    """Draw the share that standard input brings; end when whoever wants it is gone."""
    share: Share = pickle.load(sys.stdin.buffer)  # noqa: S301 - written by this very module
    threading.Thread(target=_end_with_caller, daemon=True).start()
    for block in share.draw():
        pickle.dump(block, sys.stdout.buffer)
        sys.stdout.buffer.flush()


def _end_with_caller() -> None:
    """The caller keeps its end of standard input open for as long as it lives."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(CALLER_IS_GONE)


if __name__ == "__main__":
    _main()
