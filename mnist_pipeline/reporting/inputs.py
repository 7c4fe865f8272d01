"""What a report is drawn from, as one frozen value. Reading it from disk is the task of `files`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.evaluation.schema import Comparison, Evaluation, Verdict
from mnist_pipeline.runs.parity import Parity
from mnist_pipeline.runs.record import RunRecord, StepRecord
from mnist_pipeline.runs.training_history import TrainingHistory

Image = NDArray[np.uint8]

MISTAKES_SHOWN = 60
CHANGES_SHOWN = 30
"""Fixed and broken images, each."""
ORDINARY_SHOWN = 50


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What is known of the run itself.

    Attributes:
        run_id: name of the run directory.
        record: ``run.json``, as far as the run had come; None where it is absent.
        model: name in the registry.
        version: the published version; None before publishing.
        source: where the bytes of the dataset came from.
        config: ``config.json``.
        files: name -> hex SHA-256 of each file of the run that the report rests on.
        environment: name -> version of what trained, exported and measured the model.
    """

    run_id: str
    record: RunRecord | None = None
    model: str | None = None
    version: str | None = None
    source: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def steps(self) -> Mapping[str, StepRecord]:
        """The finished steps, in order."""
        return self.record.steps if self.record else {}

    @property
    def seconds(self) -> float | None:
        """Of the finished steps together, reused ones at what they cost this run; None where nothing is known."""
        return sum(step.seconds for step in self.steps.values()) if self.steps else None


@dataclass(frozen=True, slots=True, eq=False)
class ReportInputs:
    """Everything that one report shows.

    Attributes:
        run: facts of the run.
        evaluation: the one prediction pass.
        history: the training.
        parity: the proof of the export.
        verdict: the gate's; None where the gate has not run.
        comparison: candidate and champion; None where there was no champion, or the gate has not run.
        images: test row -> uint8 [28, 28], for `shown_rows`; empty where the dataset is not at hand.
        labels: test row -> true class index, for the same rows.
        class_counts: split -> images per class, in the order of the class names; empty where not at hand.
    """

    run: RunFacts
    evaluation: Evaluation
    history: TrainingHistory
    parity: Parity
    verdict: Verdict | None = None
    comparison: Comparison | None = None
    images: Mapping[int, Image] = field(default_factory=dict)
    labels: Mapping[int, int] = field(default_factory=dict)
    class_counts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def shown_rows(evaluation: Evaluation, comparison: Comparison | None) -> list[int]:
    """The test rows whose images a report shows, ascending, once each.

    They are the examples, ordinary ones, the worst mistakes, and what was fixed and broken.
    """
    rows = {*evaluation.examples, *ordinary_rows(evaluation)}
    rows |= {mistake.row for mistake in evaluation.mistakes[:MISTAKES_SHOWN]}
    if comparison is not None:
        rows |= {*comparison.fixed[:CHANGES_SHOWN], *comparison.broken[:CHANGES_SHOWN]}
    return sorted(rows)


def ordinary_rows(evaluation: Evaluation) -> list[int]:
    """Test rows that show what the model mostly does: at equal distances, so neither its best nor its worst."""
    return evenly(evaluation.samples, ORDINARY_SHOWN)


def evenly(rows: int, most: int) -> list[int]:
    """Row numbers at equal distances, ascending, from the first to the last of so many rows."""
    found: list[int] = np.unique(np.linspace(0, rows - 1, min(rows, most)).astype(int)).tolist()
    return found
