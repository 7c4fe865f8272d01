"""The loop over members, epochs and validations, with a checkpoint after each epoch."""

import logging
import math
import time
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mnist_pipeline.config import TrainConfig
from mnist_pipeline.data.dataset import to_model_input
from mnist_pipeline.literals import UsedDevice
from mnist_pipeline.progress import ReportProgress, no_progress
from mnist_pipeline.runs.history import Epoch, Validation
from mnist_pipeline.training.checkpoint import Checkpoint, Store
from mnist_pipeline.training.journal import Journal, Stopped, best_epoch
from mnist_pipeline.training.member import Figures, Material, Member
from mnist_pipeline.training.plan import Plan, derived_seed
from mnist_pipeline.training.reporting import Reporter
from mnist_pipeline.training.weights import Arrays

logger = logging.getLogger(__name__)


class Training:
    """A training from its beginning, or from where the checkpoint in ``store`` ends.

    Attributes:
        journal: what was measured so far.
        compile_seconds: what compiling cost in this process.
    """

    def __init__(self, config: TrainConfig, material: Material, device: UsedDevice, devices: int, store: Store) -> None:
        self.config = config
        self.material = material
        self.device = device
        self.compile_seconds = 0.0
        self._devices = devices
        self._store = store
        self._checkpoint = store.load() or Checkpoint(Journal())
        self._resumed = len(self.journal.epochs)
        self._report: ReportProgress = no_progress

    @property
    def journal(self) -> Journal:
        return self._checkpoint.journal

    def run(self, report_progress: ReportProgress = no_progress) -> list[Arrays]:
        """Train what is still to be trained; the kept weights of each member.

        Raises:
            TrainingError: a loss became infinite.
        """
        self._report = report_progress
        if self._resumed:
            logger.info("going on after epoch %d, from %s", self._resumed, self._store.path)
        while len(self._checkpoint.finished) < self.config.members:
            self._train_member(len(self._checkpoint.finished) + 1)
        return self._checkpoint.finished

    def plan(self, number: int) -> Plan:
        """Of the 1-based member: its own seed, so that members differ in weights, order and augmentation."""
        return Plan.of(self.config, self.material.train, derived_seed(self.config.seed, number), self._devices)

    def validation_accuracy(self, model: Any) -> float | None:
        """Of the model as it is saved; None where no rows are held out."""
        if not self.material.validation:
            return None
        if self.config.members == self.config.views == 1:
            return best_epoch(self.journal.epochs).val_accuracy
        images = to_model_input(self.material.images[self.material.train :])
        truth = self.material.one_hot[self.material.train :].argmax(axis=1)
        return float((model.predict(images, batch_size=1_000, verbose=0).argmax(axis=1) == truth).mean())

    def best_epochs(self) -> list[int]:
        """Of each member the 1-based epoch whose weights were kept."""
        return [best_epoch(self.journal.of_member(n + 1)).epoch for n in range(self.config.members)]

    def notes(self) -> list[str]:
        """What a reader of the run must know."""
        config, material = self.config, self.material
        fewer, held_out = "{}: {} asked, {} used: there are no more", material.validation
        notes = {
            fewer.format("train_rows", config.train_rows, material.train): material.train < (config.train_rows or 0),
            fewer.format("validation_rows", config.validation_rows, held_out): held_out < config.validation_rows,
            "no validation rows: the last epoch's weights are kept, and nothing tells how good they are": not held_out,
            f"went on after epoch {self._resumed} of an interrupted training": self._resumed > 0,
            f"stopped after {config.max_minutes} minutes of fitting": self.journal.stopped == "max_minutes",
            "on a GPU the same seed need not give the same weights": self.device == "gpu",
        }
        return [note for note, holds in notes.items() if holds]

    def _train_member(self, number: int) -> None:
        plan = self.plan(number)
        member = Member(self.config, self.material, plan, self.device)
        self.compile_seconds += member.compile()
        if self._checkpoint.state:
            member.restore(self._checkpoint.state, self._checkpoint.optimizer)
        reporter = Reporter(self._report, plan, number, self.config.members)
        while len(self._checkpoint.finished) < number:
            self._train_epoch(member, number, reporter)

    def _train_epoch(self, member: Member, number: int, reporter: Reporter) -> None:
        """One epoch, its validation and its checkpoint."""
        started = time.perf_counter()
        place = len(self.journal.of_member(number)) + 1
        passed = self._fit_epoch(member, number, place, reporter)
        measured = Epoch(
            epoch=len(self.journal.epochs) + 1,
            member=number,
            loss=passed.mean("loss"),
            accuracy=passed.mean("accuracy"),
            val_loss=passed.validated.loss if passed.validated else None,
            val_accuracy=passed.validated.accuracy if passed.validated else None,
            learning_rate=member.learning_rate(member.plan.batches_before(place) + len(passed.trained) - 1),
            seconds=time.perf_counter() - started,
        )
        journal = passed.journal.and_epoch(measured)
        is_best = best_epoch(journal.of_member(number)) == measured
        best = member.weights() if is_best else self._checkpoint.best
        finished = self._checkpoint.finished
        if passed.cut or place == member.plan.epochs:
            self._keep(Checkpoint(journal.and_stopped(self._reason(passed)), [*finished, best]))
        else:
            self._keep(Checkpoint(journal, finished, best, *member.snapshot()))
        reporter.epoch(measured, place)  # after it is safe on disk

    def _fit_epoch(self, member: Member, number: int, place: int, reporter: Reporter) -> "Pass":
        """Train on the rows of the member's epoch ``place``, with the validations inside and after it."""
        plan, journal = member.plan, self.journal
        trained: list[Figures] = []
        validated: Figures | None = None
        deadline = self._deadline(number)
        for rows in plan.segments(place):
            watch = member.watch(plan.batches_before(place) + len(trained), reporter.batches, deadline)
            batches = member.fit(rows, watch)
            trained += batches
            journal = journal.and_batches([b.loss for b in batches], [b.accuracy for b in batches])
            validated = member.validate()
            if validated and plan.validate_every:
                found = Validation(batch=len(journal.batches.loss), loss=validated.loss, accuracy=validated.accuracy)
                journal = journal.and_validation(found)
            if watch.timed_out:
                break
        sizes = [min(plan.batch_size, plan.rows - i * plan.batch_size) for i in range(len(trained))]
        cut = watch.timed_out and plan.batches_before(place) + len(trained) < plan.batches
        return Pass(journal, trained, sizes, validated, cut)

    def _deadline(self, number: int) -> float:
        """When the 1-based member must stop, of ``time.monotonic``: members share the time equally."""
        if self.config.max_minutes is None:
            return math.inf
        allowed = self.config.max_minutes * 60 * number / self.config.members
        return time.monotonic() + allowed - self.journal.fit_seconds

    def _reason(self, passed: "Pass") -> Stopped:
        if passed.cut or self.journal.stopped == "max_minutes":
            return "max_minutes"
        unlimited = Plan.of(self.config.model_copy(update={"max_batches": None}), self.material.train, 0, self._devices)
        return "max_batches" if self.plan(1).batches < unlimited.batches else "finished"

    def _keep(self, reached: Checkpoint) -> None:
        self._store.save(reached)
        self._checkpoint = reached


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass of the train rows gave."""

    journal: Journal
    """With the batches and validations of the pass."""
    trained: list[Figures]
    """Of each batch."""
    sizes: list[int]
    """Rows of each batch."""
    validated: Figures | None
    """After the last batch."""
    cut: bool
    """The time was up before the member's last batch."""

    def mean(self, name: Literal["loss", "accuracy"]) -> float:
        """Over all rows of the pass."""
        return float(np.average([getattr(batch, name) for batch in self.trained], weights=self.sizes))
