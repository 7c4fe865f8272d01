"""How a run ended, for people."""

from collections.abc import Mapping
from typing import Any

from mnist_pipeline.cli.terminal import Terminal

REFUSED = 3
"""Exit code of a run whose candidate the gate refused."""


def show_summary(terminal: Terminal, summary: Mapping[str, Any]) -> None:
    """Print a `steps.Summary`."""
    reused = ", ".join(summary["reused"]) or "nothing"
    terminal.result(
        summary,
        f"{summary['status']}: {summary['model']} {summary['version']}, accuracy {summary['accuracy']:.2%}",
        *(f"refused because: {reason}" for reason in summary["reasons"]),
        f"model   {summary['onnx']}",
        f"report  {summary['report']}",
        f"run     {summary['run_id']}, reused: {reused}",
    )
