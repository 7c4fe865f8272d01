"""What was measured while a training ran, as a value that grows by making a new one. Pure."""

from typing import NamedTuple, Self

from pydantic import Field

from mnist_pipeline.runs.training_history import Batches, Epoch, Stopped, Validation
from mnist_pipeline.schema import Record


class LossAndAccuracy(NamedTuple):
    """Means over some rows."""

    loss: float
    accuracy: float


class TrainingLog(Record):
    """A training so far."""

    epochs: list[Epoch] = Field(default_factory=list)
    batches: Batches = Batches(loss=[], accuracy=[])
    validations: list[Validation] = Field(default_factory=list)
    fit_seconds: float = 0
    stopped: Stopped | None = None
    """Why it ended; None while it goes on."""

    def with_batches(self, batches: list[LossAndAccuracy]) -> Self:
        loss, accuracy = [batch.loss for batch in batches], [batch.accuracy for batch in batches]
        longer = Batches(loss=[*self.batches.loss, *loss], accuracy=[*self.batches.accuracy, *accuracy])
        return self.model_copy(update={"batches": longer})

    def with_validation(self, measured: LossAndAccuracy) -> Self:
        """The validation rows were measured after the last of the batches."""
        validation = Validation(batch=len(self.batches.loss), loss=measured.loss, accuracy=measured.accuracy)
        return self.model_copy(update={"validations": [*self.validations, validation]})

    def with_epoch(self, epoch: Epoch) -> Self:
        return self.model_copy(
            update={"epochs": [*self.epochs, epoch], "fit_seconds": self.fit_seconds + epoch.seconds}
        )

    def of_member(self, member: int) -> list[Epoch]:
        return [epoch for epoch in self.epochs if epoch.member == member]


def best_epoch(epochs: list[Epoch]) -> Epoch:
    """The epoch with the best validation accuracy, then the lowest validation loss, then the earliest.

    The last one where nothing is held out.
    """
    if epochs[-1].val_accuracy is None:
        return epochs[-1]
    return min(epochs, key=lambda epoch: (-(epoch.val_accuracy or 0), epoch.val_loss or 0))
