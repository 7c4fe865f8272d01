"""What a scoring task does, wherever it runs.

A plain function in a module of its own: Dask sends a task's function by its name where the name leads to it, and
the whole module around it where the name leads to the task.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from prefect.client.schemas.objects import State, TaskRun
from prefect.states import Completed

from mnist_pipeline.errors import StorageError
from mnist_pipeline.scoring.engine import Count, Work, score
from mnist_pipeline.scoring.job import ScoringJob
from mnist_pipeline.scoring.shards import ShardRange
from mnist_pipeline.scoring.workers import shared


def _count_nothing(_: int) -> None:
    """For tasks in other processes."""


_counter: ContextVar[Count] = ContextVar("counter", default=_count_nothing)


@contextmanager
def counting(count: Count) -> Iterator[None]:
    """Tasks that are started in the block, as threads of this process, tell the function of every image."""
    token = _counter.set(count)
    try:
        yield
    finally:
        _counter.reset(token)


def score_images(job: ScoringJob, shards: ShardRange, workers: int) -> State[Work]:
    """Store the rows of the shards. A lost worker's shards go to another one, which makes what is missing."""
    with shared.SHARED_POOLS.pool(job, workers) as pool:
        work = score(job, shards, pool, _counter.get())
    if work.reused == shards.images:
        return Completed(name="Reused", message="all rows were there, and every image is unchanged", data=work)
    return Completed(message=f"{shards.images:,} images, {work.reused:,} of them reused", data=work)


def can_pass(_task: Any, _run: TaskRun, state: State[Any]) -> bool:
    """What stands between this machine and the store may be gone when it is tried again; nothing else may."""
    return isinstance(state.result(raise_on_failure=False), StorageError)
