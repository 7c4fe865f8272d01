"""What works on this machine."""

from typing import Annotated

from mnist_pipeline.cli import options
from mnist_pipeline.cli.configure import ConfigOptions
from mnist_pipeline.cli.tables import Table
from mnist_pipeline.cli.terminal import Terminal
from mnist_pipeline.workspace import Workspace

MARKS = {"ok": "ok", "note": "--", "broken": "XX"}


def doctor(
    terminal: Terminal,
    *,
    workspace: options.Workspace = options.WORKSPACE,
    said: Annotated[ConfigOptions, "dataset source"],
) -> None:
    """Try everything that run-all needs; exit 1 if it could not run."""
    from mnist_pipeline.doctor import diagnose, tried

    config = said.config().fetch
    findings = [*diagnose(config, Workspace(workspace.resolve())), tried("prefect server", _prefect_server)]
    value = {"checks": [finding.model_dump() for finding in findings]}
    table = Table(["state", "name"], [(MARKS[one.state], one.name, one.detail) for one in findings], prose="detail")
    broken = [finding.name for finding in findings if finding.state == "broken"]
    if broken:
        terminal.failed_table(f"run-all could not run here: {', '.join(broken)}; mend what is marked XX", value, table)
    terminal.result(value, table=table)


def _prefect_server() -> str:
    """What run-all does before it runs."""
    from mnist_pipeline.cli.flows import connect

    connection = connect("mnist-pipeline run-all")
    url = connection.wait()
    if not connection.local:
        return f"{url} answers"
    from prefect.settings import get_current_settings

    return f"none named; run-all starts a local one, which keeps its database in {get_current_settings().home}"
