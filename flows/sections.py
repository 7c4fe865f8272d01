"""What a scoring task does, wherever it runs.

A plain function in a module of its own: Dask sends a task's function by its name where the name leads to it, and
the whole module around it where the name leads to the task.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from prefect.client.schemas.objects import State, TaskRun
from prefect.states import Completed

from mnist_pipeline.config import ScoreConfig
from mnist_pipeline.errors import StorageError
from mnist_pipeline.scoring.records import ScoredSection, Section
from mnist_pipeline.scoring.sections import score_section
from mnist_pipeline.scoring.workers.shared import SHARED_POOLS

Count = Callable[[int], None]


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


def score_images(config: ScoreConfig, section: Section, workers: int) -> State[ScoredSection]:
    """Store the rows of a section. A lost worker's section goes to another one, which makes what is missing."""
    scored = score_section(config, section, SHARED_POOLS, workers, _counter.get())
    if scored.reused == scored.images:
        return Completed(name="Reused", message="all rows were there, and every image is unchanged", data=scored)
    return Completed(message=f"{scored.images:,} images, {scored.reused:,} of them reused", data=scored)


def can_pass(_task: Any, _run: TaskRun, state: State[Any]) -> bool:
    """What stands between this machine and the store may be gone when it is tried again; nothing else may."""
    return isinstance(state.result(raise_on_failure=False), StorageError)
