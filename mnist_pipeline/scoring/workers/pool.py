"""Up to so many worker processes: fed with shards, supervised, replaced when an image kills them."""

import logging
import signal
import socket
import time
from collections import deque
from collections.abc import Iterable, Iterator
from multiprocessing.connection import wait
from typing import Self

from mnist_pipeline.errors import DeviceError, PipelineError
from mnist_pipeline.scoring.job import ScoringJob
from mnist_pipeline.scoring.shards import Shard
from mnist_pipeline.scoring.workers.process import GRACE_SECONDS, Task, WorkerProcess
from mnist_pipeline.scoring.workers.worker import IDLE

logger = logging.getLogger(__name__)

STRIKES = 2
"""An image at which so many workers died is left out. One death may have come from outside."""
MAX_DEATHS = 5
"""Deaths at no image in particular, in a row, after which the job gives up."""
TICK = 0.25
"""Seconds between looks at how far the workers are."""
START_SECONDS = 120.0


class Pool:
    """Up to ``workers`` processes. Use it as a context manager: leaving it ends them.

    Args:
        job: whose shards they score.
        workers: how many processes at most.

    Attributes:
        worked: the processes that have scored a shard, each as HOST:PID.
    """

    def __init__(self, job: ScoringJob, workers: int) -> None:
        self.worked: set[str] = set()
        self._job = job
        self._image_seconds = job.config.image_seconds
        self._size = workers
        self._processes: list[WorkerProcess] = []
        self._waiting: deque[Task] = deque()
        self._deaths = 0
        self._looked = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.kill()
        while self._processes:
            self._processes.pop().end()

    def warm_up(self) -> None:
        """Start a process before there is work, so that it loads the model meanwhile."""
        self._start(1)

    def score(self, shards: Iterable[Shard]) -> Iterator[Shard | None]:
        """Score every shard; yield each as its rows are stored, not in their order, and None now and then.

        Raises:
            PipelineError: the model cannot be loaded, or workers keep dying at no image in particular.
        """
        source = iter(shards)
        exhausted = False
        while True:
            while not exhausted and len(self._waiting) < self._size:
                shard = next(source, None)
                exhausted = shard is None
                if shard is not None:
                    self._waiting.append(Task(shard))
            busy = sum(bool(process.tasks) for process in self._processes)
            if exhausted and not self._waiting and not busy:
                return
            more = self._start(len(self._waiting) + busy)
            self._give()
            done = self._listen(0 if more else TICK)
            yield from done
            if not done:
                yield None

    def pictures(self, names: list[bytes]) -> list[dict[str, str]]:
        """What `pictures.picture` says of each name; empty where a worker did not survive one."""
        if not names:
            return []
        while not (ready := [process for process in self._processes if process.ready]):
            self._start(1)  # where nothing was left to score
            self._listen(TICK)
        process = ready[0]
        process.send(names)
        try:
            if process.connection.poll(self._image_seconds):
                answer = process.connection.recv()
                return answer if isinstance(answer, list) else []
        except (EOFError, OSError):
            pass
        self._processes.remove(process)
        process.end()
        return []

    def _start(self, wanted: int) -> bool:
        """Start one process where more are wanted; whether still more are."""
        missing = min(wanted, self._size) - len(self._processes)
        if missing > 0:
            try:
                self._processes.append(WorkerProcess(self._job))
            except OSError as error:
                if not self._processes:
                    raise PipelineError(f"no worker process can be started: {error.strerror or error}") from None
                logger.warning("%d workers at once, no more can be started: %s", len(self._processes), error)
                self._size = len(self._processes)
        return missing > 1

    def _give(self) -> None:
        """Hand out what is waiting, to those first that have nothing to do."""
        for held in (0, 1):
            for process in self._processes:
                if self._waiting and len(process.tasks) == held and process.capacity > 0:
                    process.give(self._waiting.popleft())

    def _listen(self, seconds: float) -> list[Shard]:
        """The shards that were scored; waits so long for the first of them."""
        heard = wait([process.connection for process in self._processes], seconds)
        senders = [process for process in self._processes if process.connection in heard]
        done = [shard for process in senders if (shard := self._receive(process)) is not None]
        if time.monotonic() - self._looked >= TICK:
            self._check_progress()
        return done

    def _receive(self, process: WorkerProcess) -> Shard | None:
        """Take an answer; the shard that it is about."""
        try:
            answer = process.connection.recv()
        except (EOFError, OSError):
            self._replace(process, process.end(GRACE_SECONDS))
            return None
        if isinstance(answer, DeviceError) and self._do_without(process, answer):
            return None
        if isinstance(answer, Exception):
            raise answer
        if not process.ready:
            process.ready = True
            return None
        self._deaths = 0
        self.worked.add(f"{socket.gethostname()}:{process.pid}")
        return process.finish().shard

    def _do_without(self, process: WorkerProcess, error: DeviceError) -> bool:
        """Whether others may find room on the device where ``process`` did not; then no more are started."""
        if process.ready or len(self._processes) == 1:
            return False
        self._processes.remove(process)
        process.end(GRACE_SECONDS)
        self._size = len(self._processes)
        logger.info("%d workers at once, the device takes no more: %s", self._size, error)
        return True

    def _check_progress(self) -> None:
        """Replace a worker that has been at one image for too long."""
        self._looked = time.monotonic()
        for process in list(self._processes):
            row = process.look()
            waiting = self._looked - process.since
            if process.tasks and row != IDLE:
                if waiting > self._image_seconds:
                    logger.warning("one image takes more than %g s; its worker is replaced", waiting)
                    message = f"took more than {self._image_seconds:g} s"
                    process.tasks[0].quarantined[row] = ("timed out", message)
                    self._replace(process, process.end())
            elif not process.ready and waiting > START_SECONDS:
                raise PipelineError(f"a worker process did not start within {START_SECONDS:g} s; try --workers 1")

    def _replace(self, process: WorkerProcess, code: int | None) -> None:
        """A worker is dead: put its shards back, without the image that killed it twice. `score` starts another."""
        self._processes.remove(process)
        row = process.look()
        if process.tasks and row != IDLE:
            task = process.tasks[0]
            if row not in task.quarantined:
                task.strikes[row] += 1
                if task.strikes[row] >= STRIKES:
                    task.quarantined[row] = ("crashed", f"brought {STRIKES} workers down ({_cause(code)})")
        else:
            self._deaths += 1
            if self._deaths >= MAX_DEATHS:
                raise PipelineError(
                    f"worker processes keep dying ({_cause(code)}); less memory is used with --workers 1"
                )
        self._waiting.extendleft(reversed(process.tasks))


def _cause(code: int | None) -> str:
    if code is None:
        return "cause unknown"
    if code < 0:
        try:
            return signal.Signals(-code).name
        except ValueError:
            return f"signal {-code}"
    return f"exit code {code}"
