"""One network in training: its Keras objects, and what is done with them."""

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.config import TrainConfig
from mnist_pipeline.data.dataset import Dataset, to_model_input, to_one_hot
from mnist_pipeline.errors import TrainingError
from mnist_pipeline.literals import UsedDevice
from mnist_pipeline.training.architectures import build_model
from mnist_pipeline.training.backend import load_keras
from mnist_pipeline.training.optimizers import build_optimizer, learning_rate
from mnist_pipeline.training.plan import Plan, Rows, derived_seed
from mnist_pipeline.training.reporting import BatchReport
from mnist_pipeline.training.weights import Arrays

# Batches that run without Python in between; more than a few gain nothing on the CPU and make the progress jerky.
STEPS_PER_EXECUTION = {"cpu": 8, "gpu": 64}
VALIDATION_BATCH = 500
WEIGHTS, DRAWS = range(2)
"""Uses of a member's seed."""


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """The rows to learn from, and behind them the rows to validate with.

    Attributes:
        images: uint8 [train + validation, 28, 28].
        one_hot: float32 [train + validation, 10].
        train: number of train rows.
    """

    images: NDArray[np.uint8]
    one_hot: NDArray[np.float32]
    train: int

    @classmethod
    def of(cls, data: Dataset) -> "Material":
        images = np.concatenate([data.train.images, data.validation.images])
        labels = np.concatenate([data.train.labels, data.validation.labels])
        return cls(images, to_one_hot(labels), len(data.train))

    @property
    def validation(self) -> int:
        """Number of validation rows."""
        return len(self.images) - self.train


@dataclass(frozen=True, slots=True)
class Figures:
    """Means over some rows."""

    loss: float
    accuracy: float


class Member:
    """A network, its optimizer and the compiled step, on the device of the surrounding scope."""

    def __init__(self, config: TrainConfig, material: Material, plan: Plan, device: UsedDevice) -> None:
        from mnist_pipeline.training.trainee import BatchTrace, Trainee

        keras = load_keras()
        self.config = config
        self.material = material
        self.plan = plan
        self.core = build_model(config.architecture, derived_seed(plan.seed, WEIGHTS), config.precision)
        images = material.images[: material.train]
        draws = derived_seed(plan.seed, DRAWS)
        self.trainee = Trainee(self.core, images, config.augmentation, draws, config.average_batches)
        self._averaged = build_model(config.architecture, 0, config.precision) if config.average_batches else None
        self.trace = BatchTrace(
            min(plan.validate_every or plan.batches_per_epoch, plan.batches), config.label_smoothing
        )
        self.trainee.compile(
            optimizer=build_optimizer(config, plan.batches),
            loss=keras.losses.CategoricalCrossentropy(label_smoothing=config.label_smoothing),
            metrics=["accuracy", self.trace],
            # Keras' loop over several steps cannot hold the replicas of a mirrored step.
            steps_per_execution=STEPS_PER_EXECUTION[device] if config.strategy == "single" else 1,
            jit_compile=_can_use_xla(config, device),
        )
        self.trainee.optimizer.build(self.trainee.trainable_variables)

    def snapshot(self) -> tuple[Arrays, Arrays]:
        """Copies of the network's state and of the optimizer's."""
        return _values(self.trainee.state), _values(self.trainee.optimizer.variables)

    def restore(self, state: Arrays, optimizer: Arrays) -> None:
        """Go on from a `snapshot`."""
        for variables, arrays in ((self.trainee.state, state), (self.trainee.optimizer.variables, optimizer)):
            for variable, array in zip(variables, arrays, strict=True):
                variable.assign(array)

    def weights(self) -> Arrays:
        """Copies of the weights to keep: of the network alone, averaged or not, in the order of ``get_weights``."""
        return [np.array(array) for array in self._kept().get_weights()]

    def compile(self) -> float:
        """Compile the training step; changes nothing that training sees. Returns seconds."""
        started = time.perf_counter()
        state, optimizer = self.snapshot()
        size, rest = self.plan.batch_size, self.plan.rows % self.plan.batch_size
        self._fit(np.arange(min(size + rest, self.plan.rows)), [])
        self.validate()
        self.restore(state, optimizer)
        return time.perf_counter() - started

    def watch(self, first_batch: int, report: BatchReport, deadline: float) -> Any:
        """A `trainee.Watch` for one call of `fit`."""
        from mnist_pipeline.training.trainee import Watch

        return Watch(first_batch, report, self.trace, self.learning_rate, deadline)

    def learning_rate(self, step: int) -> float:
        """Of the 0-based ``step``."""
        return learning_rate(self.config, self.plan.batches, step)

    def fit(self, rows: Rows, watch: Any) -> list[Figures]:
        """Train on the train rows in this order; figures of each batch.

        Raises:
            TrainingError: the loss became infinite or not a number.
        """
        self._fit(rows, [watch])
        watch.check()
        return [Figures(batch.loss, batch.accuracy) for batch in self.trace.figures(watch.trained)]

    def validate(self) -> Figures | None:
        """Means over the validation rows; None where there are none.

        Raises:
            TrainingError: the loss is infinite or not a number.
        """
        if not self.material.validation:
            return None
        # Batch by batch through the bare network: nothing is compiled for it, and a mirrored one needs no equal shares.
        starts = range(self.material.train, len(self.material.images), VALIDATION_BATCH)
        kept = self._kept()
        parts = [self._validate(kept, start) for start in starts]
        loss, right = np.sum(parts, axis=0) / self.material.validation
        if not math.isfinite(loss):
            step = int(self.trainee.optimizer.iterations)
            raise TrainingError(
                f"the validation loss became {loss:g} after step {step} at learning rate "
                f"{self.learning_rate(step - 1):g}; lower the learning rate"
            )
        return Figures(float(loss), float(right))

    def _kept(self) -> Any:
        """The network with the weights that would be kept now."""
        if self._averaged is None:
            return self.core
        self._averaged.set_weights(_values(self.trainee.averages))
        return self._averaged

    def _validate(self, network: Any, start: int) -> tuple[float, float]:
        """Summed losses and number of right answers of one batch of validation rows."""
        keras = load_keras()
        rows = slice(start, start + VALIDATION_BATCH)
        images, truth = to_model_input(self.material.images[rows]), self.material.one_hot[rows]
        probabilities = keras.ops.convert_to_numpy(network(images, training=False))
        losses = keras.losses.categorical_crossentropy(
            truth, probabilities, label_smoothing=self.config.label_smoothing
        )
        right = probabilities.argmax(axis=1) == truth.argmax(axis=1)
        return float(keras.ops.sum(losses)), float(right.sum())

    def _fit(self, rows: Rows, callbacks: list[Any]) -> None:
        self.trainee.fit(
            rows.astype(np.int32),
            self.material.one_hot[rows],
            batch_size=self.plan.batch_size,
            shuffle=False,
            verbose=0,
            callbacks=callbacks,
        )


def _can_use_xla(config: TrainConfig, device: UsedDevice) -> bool:
    """Jax has no other way; TensorFlow gains by it on a GPU, but cannot compile the augmentation for it."""
    if load_keras().backend.backend() != "tensorflow":
        return True
    return device == "gpu" and not config.augmentation.changes_something


def _values(variables: list[Any]) -> Arrays:
    return [np.array(variable.numpy()) for variable in variables]
