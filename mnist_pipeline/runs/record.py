"""``run.json``: which steps of a run finished, from which inputs, with which files; and how the run ended."""

from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from mnist_pipeline.runs.wording import plain_percent
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
    reason: str | None = None
    """Why it failed or was refused; None where it did neither."""
    started: datetime
    finished: datetime | None = None
    code_version: str
    """Version of this package."""
    steps: dict[str, StepRecord] = Field(default_factory=dict)

    @property
    def reused(self) -> list[str]:
        return [name for name, step in self.steps.items() if step.reused_from]

    @property
    def seconds(self) -> float:
        """How long all steps took together."""
        return round(sum(step.seconds for step in self.steps.values()), 1)


class Summary(Record):
    """What ``run-all --json`` prints."""

    run_id: str
    status: Outcome
    model: str
    version: str
    promoted: bool
    """The champion's alias moved to this version in this run."""
    reasons: list[str]
    """Why the gate refused the version in this run; empty where it did not."""
    champion: str | None
    """The champion when the run had ended; None without a champion."""
    published_by: str
    """The run that published the version."""
    accuracy: float
    dataset: str
    fallback: bool
    onnx: Path
    report: Path
    """The version's own where this run published it, else the run's, which has today's verdict."""
    reused: list[str]
    seconds: dict[str, float]
    """Step -> seconds, of this run."""

    @property
    def remark(self) -> str | None:
        """What else is to know of champion and version; None where the status tells it all."""
        if self.status == "promoted":
            return None if self.published_by == self.run_id else f"published by run {self.published_by}, judged anew"
        if self.status == "pending":
            word = f"models approve {self.version} --name {self.model}"
            return f"it waits for approval: mnist-pipeline {word} --reason TEXT, or models reject"
        if self.champion == self.version:
            return "it is the champion already" if self.status == "unchanged" else "it stays champion all the same"
        before = "nothing changed since it was judged; " if self.status == "unchanged" else ""
        return before + (f"the champion is {self.champion}" if self.champion else "there is no champion")

    @property
    def sentence(self) -> str:
        """How it ended, why, and where to look."""
        found = f"{self.status}: {self.model} {self.version}, accuracy {plain_percent(self.accuracy)}"
        remark = [self.remark] if self.remark else []
        return "; ".join([found, *self.reasons, *remark, f"report: {self.report}"])
