"""``history.json``: one training, from the first batch to the last, as frozen values."""

from typing import Any, Literal

from mnist_pipeline import UsedDevice
from mnist_pipeline.schema import Record

Stopped = Literal["finished", "max_batches", "max_minutes"]
"""Why a training ended."""


class Layer(Record):
    """One row of the model summary."""

    name: str
    kind: str
    """Class of the layer."""
    output_shape: list[int | None]
    parameters: int
    trainable: bool


class Epoch(Record):
    """Means over one pass of the train rows, and the validation figures after it."""

    epoch: int
    """1-based; counts through all members."""
    member: int = 1
    """1-based; more than one in an ensemble."""
    loss: float
    accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    learning_rate: float
    """At the end of the epoch."""
    seconds: float


class Batches(Record):
    """One entry a training batch, in order."""

    loss: list[float]
    accuracy: list[float]


class Validation(Record):
    """Validation figures between epochs (`TrainConfig.validate_every_batches`)."""

    batch: int
    """Batches trained so far."""
    loss: float
    accuracy: float


class TrainingSeconds(Record):
    """Where the time went. Imports and compilation are fixed costs, apart from fitting."""

    imports: float
    compile: float
    fit: float


class TrainingHistory(Record):
    """One training, from the first batch to the last."""

    config: dict[str, Any]
    """The `TrainConfig` that was used."""
    layers: list[Layer]
    parameters: int
    train_rows: int
    validation_rows: int
    device: UsedDevice
    best_epochs: list[int]
    """Of each member the 1-based epoch whose weights were kept: best validation accuracy, then lowest validation
    loss; its last one where nothing is held out."""
    validation_accuracy: float | None
    """Of the saved model, members and views averaged; None where nothing is held out."""
    stopped: Stopped
    epochs: list[Epoch]
    batches: Batches
    validations: list[Validation]
    seconds: TrainingSeconds
    notes: list[str]
    """What a reader of the run must know: an op that is not reproducible, rows that were fewer than asked."""

    @property
    def members(self) -> int:
        """Networks that the model averages."""
        return len(self.best_epochs)

    @property
    def kept(self) -> str:
        """`best_epochs` in words: "epoch 9", or "epochs 9, 17 and 30"."""
        *others, last = (f"{epoch:,}" for epoch in self.best_epochs)
        return f"epochs {', '.join(others)} and {last}" if others else f"epoch {last}"
