"""The steps of the training pipeline as Prefect tasks.

Reuse is the run record's work (`mnist_pipeline.runs`): it verifies files by digest before it trusts
them, and it survives the loss of Prefect's database. So Prefect neither caches nor stores results.
Retries are the download's own (`FetchConfig.attempts`): nothing else here passes by itself.
"""

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import ParamSpec, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed

from mnist_pipeline import steps
from mnist_pipeline.runs.run import Run

P = ParamSpec("P")
ResultT = TypeVar("ResultT")


def _as_task(step: Callable[P, ResultT]) -> Task[P, State[ResultT]]:
    """A step whose final state tells in the Prefect UI where a reused result came from."""

    @task(cache_policy=NO_CACHE, persist_result=False)
    @wraps(step)
    def do(*args: P.args, **kwargs: P.kwargs) -> State[ResultT]:
        result = step(*args, **kwargs)
        run: Run = signature(step).bind(*args, **kwargs).arguments["run"]
        record = run.record.steps.get(step.__name__)
        if record is None or record.reused_from is None:
            return Completed(data=result)
        origin = record.reused_from
        message = "a verified copy was there" if origin == "cache" else f"the work of run {origin}"
        return Completed(name="Reused", message=message, data=result)

    return do


fetch = _as_task(steps.fetch)
collect = _as_task(steps.collect)
train = _as_task(steps.train)
novelty = _as_task(steps.novelty)
export = _as_task(steps.export)
evaluate = _as_task(steps.evaluate)
publish = _as_task(steps.publish)
