"""What was measured while a training ran, as a value that grows by making a new one. Pure."""

from typing import Literal, Self

from pydantic import Field

from mnist_pipeline.runs.history import Batches, Epoch, Validation
from mnist_pipeline.schema import Record

Stopped = Literal["finished", "max_batches", "max_minutes"]


class Journal(Record):
    """A training so far."""

    epochs: list[Epoch] = Field(default_factory=list)
    batches: Batches = Batches(loss=[], accuracy=[])
    validations: list[Validation] = Field(default_factory=list)
    fit_seconds: float = 0
    stopped: Stopped | None = None
    """Why it ended; none while it goes on."""

    def and_batches(self, loss: list[float], accuracy: list[float]) -> Self:
        batches = Batches(loss=[*self.batches.loss, *loss], accuracy=[*self.batches.accuracy, *accuracy])
        return self.model_copy(update={"batches": batches})

    def and_validation(self, validation: Validation) -> Self:
        return self.model_copy(update={"validations": [*self.validations, validation]})

    def and_epoch(self, epoch: Epoch) -> Self:
        return self.model_copy(
            update={"epochs": [*self.epochs, epoch], "fit_seconds": self.fit_seconds + epoch.seconds}
        )

    def and_stopped(self, reason: Stopped) -> Self:
        return self.model_copy(update={"stopped": reason})

    def of_member(self, member: int) -> list[Epoch]:
        return [epoch for epoch in self.epochs if epoch.member == member]


def best_epoch(epochs: list[Epoch]) -> Epoch:
    """The epoch with the best validation accuracy, then the lowest validation loss, then the earliest.

    The last one where nothing is held out.
    """
    if epochs[-1].val_accuracy is None:
        return epochs[-1]
    return min(epochs, key=lambda epoch: (-(epoch.val_accuracy or 0), epoch.val_loss or 0))
