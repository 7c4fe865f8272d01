"""Deployments: the flows on a Prefect server."""

import os
from typing import Annotated

import typer

from mnist_pipeline.cli import flows, options
from mnist_pipeline.cli.configure import ConfigOptions
from mnist_pipeline.cli.tables import Table
from mnist_pipeline.cli.terminal import Terminal

NO_SERVER = "no Prefect server is named; start one with: prefect server start; and set PREFECT_API_URL=http://127.0.0.1:4200/api"


def deploy(
    terminal: Terminal,
    *,
    workspace: options.Workspace = options.WORKSPACE,
    said: Annotated[ConfigOptions, "preset dataset source device extra_images assignments file registry"],
    pool: Annotated[str, options.setting("--pool", "Work pool; a process pool is made if missing.")] = "mnist-pipeline",
    cron: Annotated[
        str | None, typer.Option("--cron", help="Minute hour day month weekday; by default Mondays at 4.")
    ] = None,
    timezone: Annotated[
        str | None, typer.Option("--timezone", help="Of the schedule, such as Europe/Berlin; by default UTC.")
    ] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Run the deployments from this process; no worker.")] = False,
) -> None:
    """Register the deployments and their schedule with the Prefect server that `prefect config view` shows.

    Creates the work pool, the limit of one training at a time, and the automation that finds runs whose
    process was killed. MNIST_PIPELINE_NOTIFY_URL, an Apprise URL, is told how trainings end. May be repeated.
    """
    from mnist_pipeline.config import PipelineConfig, merge_layers, parse_config

    # A deployment names its dataset.
    layers = merge_layers({"fetch": {"dataset": "mnist"}}, said.layers(fall_back=False))
    parse_config(PipelineConfig, layers)  # refuses nonsense before the server sees it
    deployments = flows.load_flows("deployments", "mnist-pipeline deploy", required=NO_SERVER)
    found = deployments.load_deployments(workspace.resolve(), layers, pool, cron, timezone)
    from flows.automations import ensure_automations
    from flows.notification import VARIABLE
    from flows.problems import answers_explained

    with answers_explained():
        automations = ensure_automations([one.flow_name for one in found], os.environ.get(VARIABLE))
        registered = [] if serve else deployments.register(found, pool)
    for one in registered or map(deployments.describe, found):
        if one.next_runs:
            terminal.say(f"{one.name} runs next: {', '.join(f'{when:%a %Y-%m-%d %H:%M %Z}' for when in one.next_runs)}")
    if serve:
        terminal.say(f"serving {', '.join(one.full_name for one in found)}; Ctrl-C ends it")
        deployments.serve_here(found)
        return
    rows = [(one.name, one.schedule or "", one.pool or "", one.queue or "") for one in registered]
    terminal.result(
        {"deployments": [one.model_dump(mode="json") for one in registered], "automations": automations},
        table=Table(["name", "schedule", "pool", "queue"], rows),
    )
    terminal.say(f"start a worker: prefect worker start --pool {pool}")
    terminal.say("start a run:    prefect deployment run run-all/manual --watch")
