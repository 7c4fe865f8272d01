"""``run.json``: which steps of a run finished, from which inputs, with which files; and how the run ended."""

from datetime import datetime
from typing import Any, Literal

from mnist_pipeline.schema import Record

Outcome = Literal["promoted", "refused", "unchanged", "pending"]
"""What became of a candidate: the champion's alias moved to it in this very run; the gate refused it; it was champion
before the run and stays it; or it passed the gate and waits for a person's approval."""
Status = Literal["running", "finished", "failed"] | Outcome


class StepRecord(Record):
    """One finished step."""

    key: str
    """Digest of everything that the step's files depend on."""
    output: dict[str, Any]
    """The step's `Output`; its directory is relative to the workspace."""
    seconds: float
    reused_from: str | None
    """The run that did the work; None means this one."""


class RunRecord(Record):
    """One run: ``run.json``."""

    run_id: str
    status: Status
    reason: str | None
    """Why it failed or was refused; None where it did neither."""
    started: datetime
    finished: datetime | None
    code_version: str
    """Version of this package."""
    steps: dict[str, StepRecord]

    @property
    def reused(self) -> list[str]:
        return [name for name, step in self.steps.items() if step.reused_from]

    @property
    def seconds(self) -> float:
        """How long all steps took together."""
        return round(sum(step.seconds for step in self.steps.values()), 1)
