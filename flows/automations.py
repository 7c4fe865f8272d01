"""What the Prefect server itself does for the pipeline's runs: find the dead ones, and tell of them.

A process that was killed hard cannot say so: its run would stay Running, and its place in the queue
taken, for ever. The server misses its heartbeats, marks it Crashed and thereby frees the place
(https://docs.prefect.io/v3/advanced/detect-zombie-flows).
"""

from collections.abc import Iterable
from datetime import timedelta
from functools import partial
from typing import cast
from uuid import UUID

from prefect.automations import Automation
from prefect.blocks.notifications import SlackWebhook
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState, SendNotification
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from pydantic import SecretStr

from flows.notification import BLOCK, VARIABLE
from mnist_pipeline.errors import UsageError

SILENCE = timedelta(seconds=90)
"""Three heartbeats (PREFECT_FLOWS_HEARTBEAT_FREQUENCY in prefect.yaml)."""
HEARTBEAT = "prefect.flow-run.heartbeat"
ENDS = {f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Cancelled", "Crashed")}
_trigger = partial(
    EventTrigger,
    match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
    for_each={"prefect.resource.id"},
    threshold=1,
)


def ensure_automations(flow_names: Iterable[str], notify_url: str | None) -> list[str]:
    """Create or update the automations. May be repeated.

    Args:
        flow_names: whose runs they watch; those of others are not watched.
        notify_url: Apprise URL, kept as a secret block on the server, of whom the flows and the automation
            tell; None means that what was set up before stays.

    Returns:
        Their names.

    Raises:
        UsageError: Apprise does not know such a URL.
    """
    runs = ResourceSpecification({"prefect.resource.role": "flow", "prefect.resource.name": sorted(set(flow_names))})
    wanted = [find_dead_runs(runs)]
    if notify_url:
        from apprise import Apprise

        if not Apprise().add(notify_url):
            raise UsageError(f"{VARIABLE} is no URL that Apprise knows; see https://github.com/caronc/apprise/wiki")
        block = SlackWebhook(url=SecretStr(notify_url))
        wanted.append(tell_of_crashes(runs, cast(UUID, block.save(BLOCK, overwrite=True))))
    for automation in wanted:
        _ensure(automation)
    return [automation.name for automation in wanted]


def find_dead_runs(runs: ResourceSpecification) -> Automation:
    """Crash the runs whose heartbeats stopped."""
    return Automation(
        name="mnist-pipeline: crash runs without a heartbeat",
        description="A run whose process or machine is gone ends as Crashed, and its place in the queue is free.",
        trigger=_trigger(
            after={HEARTBEAT},
            expect={HEARTBEAT, *ENDS},
            match_related=runs,
            posture=Posture.Proactive,
            within=SILENCE,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED, message="No heartbeat: the process was killed or its machine is gone."
            )
        ],
    )


def tell_of_crashes(runs: ResourceSpecification, receiver: UUID) -> Automation:
    """Send word of every run that crashed, which it could not do itself, to the notification block."""
    return Automation(
        name="mnist-pipeline: tell of crashed runs",
        trigger=_trigger(expect={"prefect.flow-run.Crashed"}, match_related=runs, posture=Posture.Reactive),
        actions=[
            SendNotification(
                block_document_id=receiver,
                subject="{{ flow.name }} crashed: {{ flow_run.name }}",
                body="{{ flow_run.state.message }}\nThe next run goes on from the last finished step.\n"
                "{{ flow_run|ui_url }}",
            )
        ],
    )


def _ensure(automation: Automation) -> None:
    try:
        # Typed for async callers as well.
        automation.id = cast(Automation, Automation.read(name=automation.name)).id
    except ValueError:
        automation.create()
    else:
        automation.update()
