"""A worker process as its pool sees it: what it has to do, how far it is, and how it ended."""

import os
import time
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.sharedctypes import RawValue

from mnist_pipeline.scoring.job import ScoringJob
from mnist_pipeline.scoring.shards import Shard
from mnist_pipeline.scoring.workers.start import exit_code, start_process
from mnist_pipeline.scoring.workers.worker import IDLE, Request, SharedRow, work

QUICK_SECONDS = 0.05
"""A worker whose shards take less is given the next one before it is done, so that it never waits; one whose shards
take more would hold what another one could begin with."""
GRACE_SECONDS = 5.0
"""For the forkserver to tell how a worker ended."""


@dataclass(slots=True)
class Task:
    """A shard, and what is known of its images: which are left out, and at which ones workers died, how often."""

    shard: Shard
    quarantined: dict[int, tuple[str, str]] = field(default_factory=dict)
    strikes: Counter[int] = field(default_factory=Counter)


class WorkerProcess:
    """A process that runs `worker.work`.

    Attributes:
        connection: where its answers are received; ends when the process does.
        tasks: what it was given and has not done, in order.
        ready: it has loaded the model.
        row: of its first task, where it was when somebody looked.
        since: `time.monotonic` when that row was first seen.

    Raises:
        OSError: no further process can be had.
    """

    def __init__(self, job: ScoringJob) -> None:
        self.tasks: deque[Task] = deque()
        self.ready = False
        self.row, self.since = IDLE, time.monotonic()
        self._quick = False
        self._shared: SharedRow = RawValue("q", IDLE)
        self.connection, theirs = Pipe()
        try:
            with theirs:
                self._process = start_process(work, theirs, self._shared, job, dict(os.environ))
        except BaseException:
            self.connection.close()
            raise

    @property
    def pid(self) -> int | None:
        return self._process.pid

    @property
    def capacity(self) -> int:
        """How many tasks it may be given: one, and another to go on with where they take no time."""
        return (2 if self._quick else 1) - len(self.tasks) if self.ready else 0

    def give(self, task: Task) -> None:
        """Have it do the task after those that it has."""
        if not self.tasks:
            self.row, self.since = IDLE, time.monotonic()
        self.tasks.append(task)
        self.send((task.shard, task.quarantined))

    def send(self, request: Request) -> None:
        """Ask for something; that a process is dead is noticed by whoever waits for its answer."""
        with suppress(OSError):
            self.connection.send(request)

    def finish(self) -> Task:
        """The first of its tasks is done."""
        self._quick = time.monotonic() - self.since < QUICK_SECONDS
        self.row, self.since = IDLE, time.monotonic()
        return self.tasks.popleft()

    def look(self) -> int:
        """The row it is at, for as long as `since` says."""
        if self._shared.value != self.row:
            self.row, self.since = self._shared.value, time.monotonic()
        return self.row

    def end(self, grace: float = 0.0) -> int | None:
        """Stop it if it still runs after so many seconds, and clean up.

        Returns:
            The exit code, negative for a signal; None where nobody knows.
        """
        self.connection.close()
        code = exit_code(self._process, grace)
        if code is None:
            self._process.kill()
            code = exit_code(self._process, GRACE_SECONDS)
        if code is not None:
            self._process.close()
        return code

    def kill(self) -> None:
        """Stop it if it still runs."""
        if exit_code(self._process, 0) is None:
            self._process.kill()
