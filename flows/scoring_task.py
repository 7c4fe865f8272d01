"""What a scoring task does, wherever it runs.

A plain function in a module of its own: Dask sends a task's function by its name where the name leads to it, and
the whole module around it where the name leads to the task.
"""

from typing import Any

from prefect.client.schemas.objects import State, TaskRun
from prefect.states import Completed

from mnist_pipeline.errors import StorageError
from mnist_pipeline.scoring.engine import Count, Work, score
from mnist_pipeline.scoring.job import ScoringJob
from mnist_pipeline.scoring.shards import ShardRange
from mnist_pipeline.scoring.workers import shared


def score_images(job: ScoringJob, shards: ShardRange, workers: int, count: Count = lambda _: None) -> State[Work]:
    """Store the rows of the shards. A lost worker's shards go to another one, which makes what is missing.

    Args:
        job: whose.
        shards: of its plan.
        workers: processes that do it.
        count: is told of every image; for tasks that are threads of the flow's process.
    """
    with shared.SHARED_POOLS.pool(job, workers) as pool:
        work = score(job, shards, pool, count)
    if work.reused == shards.images:
        return Completed(name="Reused", message="all rows were there, and every image is unchanged", data=work)
    return Completed(message=f"{shards.images:,} images, {work.reused:,} of them reused", data=work)


def can_pass(_task: Any, _run: TaskRun, state: State[Any]) -> bool:
    """What stands between this machine and the store may be gone when it is tried again; nothing else may."""
    return isinstance(state.result(raise_on_failure=False), StorageError)
