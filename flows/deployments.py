"""The deployments of prefect.yaml, registered with a Prefect server or served by this process."""

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, cast

import yaml
from prefect import Flow, serve
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import DeploymentApplyError, RunnerDeployment
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.types.entrypoint import EntrypointType
from prefect.workers.process import ProcessWorker

from flows.cron import make_schedule, next_dates
from mnist_pipeline.errors import PipelineError, UsageError
from mnist_pipeline.schema import Record

FILE = "prefect.yaml"
ONE_AT_A_TIME = {"training": 1}
"""Work queue -> runs at once."""
DATES_SHOWN = 3


class Deployment(Record):
    """What was registered."""

    name: str
    """flow/deployment."""
    pool: str | None
    queue: str | None
    schedule: str | None
    next_runs: tuple[datetime, ...]
    """The first ones, in the schedule's zone."""


def load_deployments(
    workspace: Path, parameters: Mapping[str, Any], pool: str, cron: str | None = None, timezone: str | None = None
) -> list[RunnerDeployment]:
    """The deployments of prefect.yaml, as an installation wants them.

    Args:
        workspace: absolute; every worker must see it there.
        parameters: section of the configuration -> its fields, for the training flows.
        pool: the work pool.
        cron: when `retrain` runs; None means as prefect.yaml says.
        timezone: of ``cron``; None means as prefect.yaml says.

    Raises:
        UsageError: the pool's name cannot be one, or the schedule never fires.
    """
    try:
        WorkPoolCreate(name=pool)
    except ValueError:
        raise UsageError(f"--pool {pool!r} cannot be the name of a work pool") from None

    def load(entry: Mapping[str, Any]) -> RunnerDeployment:
        flow: Flow[..., Any] = resolve_name(entry["entrypoint"])
        own = parameters if "training" in entry["parameters"] else {}
        limit = entry.get("concurrency_limit")
        when = [
            make_schedule(one["cron"] if cron is None else cron, one["timezone"] if timezone is None else timezone)
            for one in entry.get("schedules", ())
        ]
        deployment = flow.to_deployment(
            entry["name"],
            description=entry["description"],
            tags=entry["tags"],
            parameters={**entry["parameters"], "workspace": str(workspace), **own},
            enforce_parameter_schema=True,
            schedules=when,
            concurrency_limit=limit and ConcurrencyLimitConfig.model_validate(limit),
            work_pool_name=pool,
            work_queue_name=entry["work_pool"]["work_queue_name"],
            job_variables=entry["work_pool"]["job_variables"],
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
        return cast(RunnerDeployment, deployment)  # typed for async callers as well

    return [load(entry) for entry in yaml.safe_load(find_file().read_text("utf-8"))["deployments"]]


def find_file() -> Path:
    """prefect.yaml: beside the package in a checkout, in it where it is installed."""
    here = Path(__file__).parent
    return next(path for path in (here.parent / FILE, here / FILE) if path.is_file())


def register(deployments: list[RunnerDeployment], pool: str) -> list[Deployment]:
    """Create or update the work pool, its queues and the deployments. May be repeated.

    Raises:
        PipelineError: the server does not take one.
    """
    with get_client(sync_client=True) as client:
        _ensure_pool(client, pool)
        for queue in sorted({deployment.work_queue_name or "default" for deployment in deployments}):
            _ensure_queue(client, pool, queue)
    for deployment in deployments:
        try:
            deployment.apply()
        except DeploymentApplyError as error:
            raise PipelineError(f"{deployment.full_name}: {' '.join(str(error).split())}") from None
    return [describe(deployment) for deployment in deployments]


def serve_here(deployments: list[RunnerDeployment]) -> None:
    """Register the deployments without a pool, and run them from this process until it is stopped."""
    # Prefect loads a flow with the current folder in front of all others; in this one lie the flows themselves.
    os.chdir(Path(__file__).parents[1])
    for deployment in deployments:
        # What a pool would set for its processes, those of this one inherit.
        for name, value in deployment.job_variables["env"].items():
            os.environ.setdefault(name, value)
        deployment.work_pool_name = deployment.work_queue_name = None
        deployment.job_variables = {}
    serve(*deployments, pause_on_shutdown=False)


def describe(deployment: RunnerDeployment) -> Deployment:
    """What it is, and when it runs."""
    crons = [one.schedule for one in deployment.schedules or () if isinstance(one.schedule, CronSchedule)]
    return Deployment(
        name=deployment.full_name,
        pool=deployment.work_pool_name,
        queue=deployment.work_queue_name,
        schedule=", ".join(f"{cron.cron} {cron.timezone}" for cron in crons) or None,
        next_runs=tuple(when for cron in crons for when in next_dates(cron, DATES_SHOWN)),
    )


def _ensure_pool(client: SyncPrefectClient, name: str) -> None:
    """A process pool of that name; one that is there keeps its settings, whatever its type."""
    try:
        client.read_work_pool(name)
    except ObjectNotFound:
        template = ProcessWorker.get_default_base_job_template()
        client.create_work_pool(WorkPoolCreate(name=name, type=ProcessWorker.type, base_job_template=template))


def _ensure_queue(client: SyncPrefectClient, pool: str, name: str) -> None:
    limit = ONE_AT_A_TIME.get(name)
    try:
        queue = client.create_work_queue(name, work_pool_name=pool, concurrency_limit=limit)
    except ObjectAlreadyExists:
        queue = client.read_work_queue_by_name(name, work_pool_name=pool)
    if queue.concurrency_limit != limit:
        client.update_work_queue(queue.id, concurrency_limit=limit)
