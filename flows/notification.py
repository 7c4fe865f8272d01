"""Word of how a training ended, to any service that Apprise knows.

The flow's process tells of promotion, refusal and failure, and of a candidate that waits for approval. What it cannot
tell, that it was killed, an automation on the server tells (`flows.automations`).
"""

import logging
import os
from typing import Any

from prefect import Flow
from prefect.blocks.notifications import SlackWebhook
from prefect.client.schemas.objects import FlowRun, State
from prefect.utilities.urls import url_for
from pydantic import SecretStr

# The block type, known to every Prefect server, that hands whatever URL it has to Apprise, Slack's or not.
# One of our own would have to be installed on the server, which loads it to tell of crashes.
VARIABLE = "MNIST_PIPELINE_NOTIFY_URL"
BLOCK = "mnist-pipeline"
logger = logging.getLogger("mnist_pipeline.flows")


def notify(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """State change hook: send how the run ended; nothing where it changed nothing, or where nobody is to be told."""
    message = state.message or ""
    if message.startswith("unchanged"):
        return
    outcome = "failed" if state.is_failed() else message.partition(":")[0]
    try:
        if receiver := find_receiver():
            place = url_for(flow_run) or ""
            with receiver.raise_on_failure():
                receiver.notify(subject=f"{flow.name} {outcome}: {flow_run.name}", body=f"{message}\n{place}".strip())
    except Exception as error:  # whatever the service raises: the run has ended, and stays as it ended
        logger.warning("the notification could not be sent: %s", " ".join(str(error).split()))


def find_receiver() -> SlackWebhook | None:
    """Who is told: the environment variable's URL, else the block that `mnist-pipeline deploy` saved."""
    if url := os.environ.get(VARIABLE):
        return SlackWebhook(url=SecretStr(url))
    try:
        found = SlackWebhook.load(BLOCK)
    except ValueError:
        return None
    return found if isinstance(found, SlackWebhook) else None
