"""How a run ended, for people and scripts."""

from pathlib import Path

from mnist_pipeline.runs.record import Outcome
from mnist_pipeline.runs.wording import plain_percent
from mnist_pipeline.schema import Record


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
    """The champion when the run had ended; None where there is none."""
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
