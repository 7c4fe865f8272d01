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


class SharedPools:
    """Lends pools to tasks, which may run in several threads.

    Args:
        idle_seconds: after which pools that nobody uses end.
    """

    def __init__(self, idle_seconds: float = IDLE_SECONDS) -> None:
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._idle: list[tuple[ScoringJob, int, Pool]] = []
        self._timer = threading.Timer(idle_seconds, self.close)

    @contextmanager
    def pool(self, job: ScoringJob, workers: int) -> Iterator[Pool]:
        """A pool for one task at a time. It ends with the block if that fails, else it waits for the next task.

        Args:
            job: whose shards it scores.
            workers: how many processes at most.
        """
        with self._lock:
            same = next((one for one in self._idle if one[:2] == (job, workers)), None)
            if same is not None:
                self._idle.remove(same)
        pool = same[2] if same is not None else Pool(job, workers)
        try:
            yield pool
        except BaseException:
            pool.close()
            raise
        with self._lock:
            self._idle.append((job, workers, pool))
            self._timer.cancel()
            self._timer = threading.Timer(self._idle_seconds, self.close)
            self._timer.daemon = True
            self._timer.start()

    def close(self) -> None:
        """End all that nobody uses."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._timer.cancel()
        for *_, pool in idle:
            pool.close()


SHARED_POOLS = SharedPools()
"""Of this process."""
