"""Scheduled runs that nobody could start in time."""

from datetime import UTC, datetime

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.runtime import deployment
from prefect.states import Cancelled


def cancel_missed_runs() -> int:
    """Cancel the runs of this deployment's schedule that are due as well; this one does their work.

    Where no worker was there for three weeks, three late runs wait for the first that comes.

    Returns:
        How many; 0 outside a deployment.
    """
    if deployment.id is None:
        return 0
    with get_client(sync_client=True) as client:
        due = client.read_flow_runs(
            deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id])),
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
                expected_start_time=FlowRunFilterExpectedStartTime(before_=datetime.now(UTC)),
            ),
            sort=FlowRunSort.EXPECTED_START_TIME_ASC,
            limit=200,  # a page of Prefect's API; the server refuses "all"
        )
        missed = [run for run in due if run.auto_scheduled]
        for run in missed:
            client.set_flow_run_state(run.id, Cancelled(message="missed; a later run of the schedule does its work"))
    return len(missed)
