"""How a run ended, for people."""

from typing import TYPE_CHECKING

import typer

from mnist_pipeline.cli.terminal import Terminal
from mnist_pipeline.runs.wording import plain_percent

if TYPE_CHECKING:
    from mnist_pipeline.runs.summary import Summary

REFUSED = 3
"""Exit code of a run whose candidate the gate refused."""


def show_summary(terminal: Terminal, summary: "Summary") -> None:
    """Print how a run ended.

    Raises:
        Exit: the gate refused the candidate.
    """
    reused = ", ".join(summary.reused) or "nothing"
    terminal.result(
        summary.model_dump(mode="json"),
        f"{summary.status}: {summary.model} {summary.version}, accuracy {plain_percent(summary.accuracy)}",
        *(f"refused because: {reason}" for reason in summary.reasons),
        *([summary.remark] if summary.remark else []),
        f"model   {summary.onnx}",
        f"report  {summary.report}",
        f"run     {summary.run_id}, reused: {reused}",
    )
    if summary.status == "refused":
        raise typer.Exit(REFUSED)
