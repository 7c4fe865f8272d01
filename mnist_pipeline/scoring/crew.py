"""Worker processes that outlive one task.

A worker that starts loads the model, which takes as long as some thousand images. So the tasks of one process
share their workers: those that have nothing to do wait for the next task, and end when none came for a while.
"""

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mnist_pipeline.scoring.launch import Nursery
from mnist_pipeline.scoring.pool import Pool
from mnist_pipeline.scoring.records import ScoringSettings

IDLE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class _Kind:
    """Pools of one kind do the same."""

    settings: ScoringSettings
    workers: int
    memory_megabytes: int


class Crew:
    """Lends pools to tasks, which may run in several threads.

    Args:
        idle_seconds: after which pools that nobody uses end.
    """

    def __init__(self, idle_seconds: float = IDLE_SECONDS) -> None:
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._idle: list[tuple[_Kind, Pool]] = []
        self._busy = 0
        self._nursery: Nursery | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._timer: threading.Timer | None = None

    @contextmanager
    def pool(self, settings: ScoringSettings, workers: int, memory_megabytes: int) -> Iterator[Pool]:
        """A pool for one task at a time. It ends with the block if that fails, else it waits for the next task.

        Args:
            settings: what its shards have in common.
            workers: how many processes at most.
            memory_megabytes: what one image may take.
        """
        kind = _Kind(settings, workers, memory_megabytes)
        pool = self._take(kind)
        whole = False
        try:
            yield pool
            whole = True
        finally:
            if not whole:
                pool.close()
            self._give_back(kind, pool if whole else None)

    def close(self) -> None:
        """End all that nobody uses."""
        with self._lock:
            for _, pool in self._idle:
                pool.close()
            self._idle.clear()
            if self._busy:
                return
            if self._timer is not None:
                self._timer.cancel()
            if self._nursery is not None:
                self._nursery.close()
                self._nursery = None
            if self._folder is not None:
                self._folder.cleanup()
                self._folder = None

    def _take(self, kind: _Kind) -> Pool:
        with self._lock:
            self._busy += 1
            for place, (other, pool) in enumerate(self._idle):
                if other == kind:
                    del self._idle[place]
                    return pool
            self._nursery = self._nursery or Nursery()
            # On this machine: the processes share small files, and the job's own folder may be far away.
            self._folder = self._folder or tempfile.TemporaryDirectory(prefix="mnist-pipeline-")
            folder = Path(self._folder.name)
            return Pool(kind.settings, kind.workers, kind.memory_megabytes, folder, self._nursery)

    def _give_back(self, kind: _Kind, pool: Pool | None) -> None:
        with self._lock:
            self._busy -= 1
            if pool is not None:
                self._idle.append((kind, pool))
            if self._timer is not None:
                self._timer.cancel()
            self._timer = threading.Timer(self._idle_seconds, self.close)
            self._timer.daemon = True
            self._timer.start()


CREW = Crew()
"""Of this process."""
