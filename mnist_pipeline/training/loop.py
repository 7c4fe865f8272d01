"""The loop over an ensemble's members, their epochs and validations, with a checkpoint after each epoch."""

import logging
import math
import time
from typing import Any

import numpy as np

from mnist_pipeline import UsedDevice
from mnist_pipeline.config import TrainConfig
from mnist_pipeline.data.dataset import to_model_input
from mnist_pipeline.progress import ReportProgress
from mnist_pipeline.runs.live import Begin, LiveCurve
from mnist_pipeline.runs.training_history import Epoch, Stopped
from mnist_pipeline.training.batching import Batching, derived_seed
from mnist_pipeline.training.checkpoint import Checkpoint, CheckpointStore
from mnist_pipeline.training.network import Network, TrainingData
from mnist_pipeline.training.progress import ProgressReporter
from mnist_pipeline.training.saving import Arrays
from mnist_pipeline.training.summary import summarise
from mnist_pipeline.training.training_log import LossAndAccuracy, TrainingLog, best_epoch

logger = logging.getLogger(__name__)


class Training:
    """A training from its beginning, or from where the checkpoint in ``store`` ends.

    Attributes:
        log: what was measured so far.
        compile_seconds: what compiling cost in this process.
    """

    def __init__(
        self,
        config: TrainConfig,
        data: TrainingData,
        device: UsedDevice,
        devices: int,
        store: CheckpointStore,
        live: LiveCurve,
        report_progress: ReportProgress,
    ) -> None:
        self.config = config
        self.data = data
        self.device = device
        self.compile_seconds = 0.0
        self._devices = devices
        self._store = store
        self._live = live
        self._checkpoint = store.load() or Checkpoint(TrainingLog())
        self._resumed = len(self.log.epochs)
        self._report_progress = report_progress

    @property
    def log(self) -> TrainingLog:
        return self._checkpoint.log

    def run(self) -> list[Arrays]:
        """Train what is still to be trained; the kept weights of each member.

        Raises:
            TrainingError: a loss became infinite.
        """
        if self._resumed:
            logger.info("going on after epoch %d, from %s", self._resumed, self._store.path)
        left = range(len(self._checkpoint.finished) + 1, self.config.members + 1)
        if left:
            network = self._compiled(left[0])
            for member in left:
                self._train_member(network, member)
        return self._checkpoint.finished

    def batching(self, member: int) -> Batching:
        """Of the 1-based member: its own seed, so that members differ in weights, order and augmentation."""
        return Batching.of(self.config, self.data.train, derived_seed(self.config.seed, member), self._devices)

    def validation_accuracy(self, model: Any) -> float | None:
        """Of the model as it is saved; None where no rows are held out."""
        if not self.data.validation:
            return None
        if self.config.members == self.config.views == 1:
            return best_epoch(self.log.epochs).val_accuracy
        images = to_model_input(self.data.images[self.data.train :])
        truth = self.data.one_hot[self.data.train :].argmax(axis=1)
        return float((model.predict(images, batch_size=1_000, verbose=0).argmax(axis=1) == truth).mean())

    def best_epochs(self) -> list[int]:
        """Of each member the 1-based epoch whose weights were kept."""
        return [best_epoch(self.log.of_member(n + 1)).epoch for n in range(self.config.members)]

    def notes(self) -> list[str]:
        """What a reader of the run must know."""
        config, data = self.config, self.data
        fewer, held_out = "{}: {} asked, {} used: there are no more", data.validation
        notes = {
            fewer.format("train_rows", config.train_rows, data.train): data.train < (config.train_rows or 0),
            fewer.format("validation_rows", config.validation_rows, held_out): held_out < config.validation_rows,
            "no validation rows: the last epoch's weights are kept, and nothing tells how good they are": not held_out,
            f"went on after epoch {self._resumed} of an interrupted training": self._resumed > 0,
            f"stopped after {config.max_minutes} minutes of fitting": self.log.stopped == "max_minutes",
            "on a GPU the same seed need not give the same weights": self.device == "gpu",
        }
        return [note for note, holds in notes.items() if holds]

    def _compiled(self, member: int) -> Network:
        """The 1-based member's network, as far as it was trained."""
        batching = self.batching(member)
        network = Network(self.config, self.data, batching, self.device)
        self._begin(network, batching)
        self.compile_seconds = network.compile()
        if self._checkpoint.state:
            network.restore(self._checkpoint.state, self._checkpoint.optimizer)
        return network

    def _train_member(self, network: Network, member: int) -> None:
        batching = self.batching(member)
        reporter = ProgressReporter(self._report_progress, batching, member, self.config.members, self._live)
        while len(self._checkpoint.finished) < member:
            self._train_epoch(network, member, reporter)
        if member < self.config.members:
            network.reset(self.batching(member + 1))

    def _begin(self, network: Network, batching: Batching) -> None:
        """Tell who watches what is to come, and what was done before this process."""
        members = self.config.members
        begin = Begin(
            layers=summarise(network.core),
            batches=members * batching.batches,
            epochs=members * batching.epochs,
            train_rows=self.data.train,
            validation_rows=self.data.validation,
        )
        self._live.begin(begin, self.log.epochs)

    def _train_epoch(self, network: Network, member: int, reporter: ProgressReporter) -> None:
        """One epoch and its checkpoint."""
        epoch = len(self.log.of_member(member)) + 1
        log, out_of_time = self._fit_epoch(network, member, epoch, reporter)
        measured = log.epochs[-1]
        is_best = best_epoch(log.of_member(member)) == measured
        best = network.weights() if is_best else self._checkpoint.best
        finished = self._checkpoint.finished
        if out_of_time or epoch == network.batching.epochs:
            stopped = log.model_copy(update={"stopped": self._reason(out_of_time)})
            reached = Checkpoint(stopped, [*finished, best])
        else:
            reached = Checkpoint(log, finished, best, *network.snapshot())
        self._store.save(reached)
        self._checkpoint = reached
        reporter.epoch(measured, epoch)  # after it is safe on disk

    def _fit_epoch(
        self, network: Network, member: int, epoch: int, reporter: ProgressReporter
    ) -> tuple[TrainingLog, bool]:
        """Train on the rows of the member's 1-based ``epoch``, with the validations inside and after it.

        Returns the log with the epoch, and whether the time was up before the member's last batch.
        """
        started, deadline = time.perf_counter(), self._deadline(member)
        batching, log = network.batching, self.log
        batches: list[LossAndAccuracy] = []
        for rows in batching.segments(epoch):
            trained = batching.batches_before(epoch) + len(batches)
            fitted, timed_out = network.fit(rows, trained, reporter.batches, deadline)
            batches += fitted
            log = log.with_batches(fitted)
            validation = network.validate()
            if validation and batching.validate_every:
                log = log.with_validation(validation)
            if timed_out:
                break
        trained = batching.batches_before(epoch) + len(batches)
        sizes = [min(batching.batch_size, batching.rows - i * batching.batch_size) for i in range(len(batches))]
        measured = Epoch(
            epoch=len(log.epochs) + 1,
            member=member,
            loss=float(np.average([batch.loss for batch in batches], weights=sizes)),
            accuracy=float(np.average([batch.accuracy for batch in batches], weights=sizes)),
            val_loss=validation.loss if validation else None,
            val_accuracy=validation.accuracy if validation else None,
            learning_rate=network.learning_rate(trained - 1),
            seconds=time.perf_counter() - started,
        )
        return log.with_epoch(measured), timed_out and trained < batching.batches

    def _deadline(self, member: int) -> float:
        """When the 1-based member must stop, of ``time.monotonic``: members share the time equally."""
        if self.config.max_minutes is None:
            return math.inf
        allowed = self.config.max_minutes * 60 * member / self.config.members
        return time.monotonic() + allowed - self.log.fit_seconds

    def _reason(self, out_of_time: bool) -> Stopped:
        if out_of_time or self.log.stopped == "max_minutes":
            return "max_minutes"
        unlimited = Batching.of(self.config.model_copy(update={"max_batches": None}), self.data.train, 0, self._devices)
        return "max_batches" if self.batching(1).batches < unlimited.batches else "finished"
