"""Pools that outlive a task and are shared by the tasks of one process.

A worker that starts loads the model, which takes as long as some thousand images. So a pool that a task has done
with waits for the next task, and ends when none came for a while.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from mnist_pipeline.scoring.job import ScoringJob
from mnist_pipeline.scoring.workers.pool import Pool

IDLE_SECONDS = 30.0

_Kind = tuple[ScoringJob, int]
"""Pools of one kind do the same."""


class SharedPools:
    """Lends pools to tasks, which may run in several threads.

    Args:
        idle_seconds: after which pools that nobody uses end.
    """

    def __init__(self, idle_seconds: float = IDLE_SECONDS) -> None:
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._idle: list[tuple[_Kind, Pool]] = []
        self._timer: threading.Timer | None = None

    @contextmanager
    def pool(self, job: ScoringJob, workers: int) -> Iterator[Pool]:
        """A pool for one task at a time. It ends with the block if that fails, else it waits for the next task.

        Args:
            job: whose shards it scores.
            workers: how many processes at most.
        """
        kind = (job, workers)
        pool = self._take(kind)
        try:
            yield pool
        except BaseException:
            pool.close()
            raise
        self._give_back(kind, pool)

    def close(self) -> None:
        """End all that nobody uses."""
        with self._lock:
            idle, self._idle = self._idle, []
            if self._timer is not None:
                self._timer.cancel()
        for _, pool in idle:
            pool.close()

    def _take(self, kind: _Kind) -> Pool:
        with self._lock:
            for place, (other, pool) in enumerate(self._idle):
                if other == kind:
                    del self._idle[place]
                    return pool
        return Pool(*kind)

    def _give_back(self, kind: _Kind, pool: Pool) -> None:
        with self._lock:
            self._idle.append((kind, pool))
            if self._timer is not None:
                self._timer.cancel()
            self._timer = threading.Timer(self._idle_seconds, self.close)
            self._timer.daemon = True
            self._timer.start()


SHARED_POOLS = SharedPools()
"""Of this process."""
