"""One network in training: its Keras objects, and what is done with them."""

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline import DIGIT_NAMES, UsedDevice
from mnist_pipeline.config import TrainConfig
from mnist_pipeline.data.dataset import Dataset, to_model_input, to_one_hot
from mnist_pipeline.errors import TrainingError
from mnist_pipeline.keras_backend import load_keras
from mnist_pipeline.rejection.hands import other_hands
from mnist_pipeline.training.architectures import build_model
from mnist_pipeline.training.batching import Batching, Rows, derived_seed
from mnist_pipeline.training.optimizers import build_optimizer, learning_rate
from mnist_pipeline.training.progress import BatchReport
from mnist_pipeline.training.saving import Arrays
from mnist_pipeline.training.training_log import LossAndAccuracy

# Batches that run without Python in between; more than a few gain nothing on the CPU and make the progress jerky.
STEPS_PER_EXECUTION = {"cpu": 8, "gpu": 64}
VALIDATION_BATCH = 500
WRITTEN_SHARE = 0.6
"""Of the digits that are drawn: as strokes; the others are train rows by other pens."""
WEIGHTS, AUGMENTATION = range(2)
"""Uses of a member's seed."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainingData:
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
    def of(cls, dataset: Dataset, drawn_share: float = 0, seed: int = 0) -> "TrainingData":
        """The rows of the dataset, and digits by other hands, where its classes are digits.

        Args:
            dataset: the rows.
            drawn_share: how many are drawn, as a share of the train rows.
            seed: of what is drawn.
        """
        train, validation = dataset.train, dataset.validation
        count = round(drawn_share * len(train)) if dataset.class_names == DIGIT_NAMES else 0
        drawn, classes = other_hands(train.images, train.labels, count, np.random.default_rng(seed), WRITTEN_SHARE)
        images = np.concatenate([train.images, drawn, validation.images])
        labels = np.concatenate([train.labels, classes, validation.labels])
        return cls(images, to_one_hot(labels), len(train) + count)

    @property
    def validation(self) -> int:
        """Number of validation rows."""
        return len(self.images) - self.train


class Network:
    """A network, its optimizer and the compiled step, on the device of the surrounding scope."""

    def __init__(self, config: TrainConfig, data: TrainingData, batching: Batching, device: UsedDevice) -> None:
        from mnist_pipeline.training.training_model import BatchMetrics

        keras = load_keras()
        self.config = config
        self.data = data
        self.batching = batching
        self.model = self._untrained(data.train)
        self.core = self.model.core
        self._averaged = build_model(config.architecture, 0, config.precision) if config.average_batches else None
        self.batch_metrics = BatchMetrics(
            min(batching.validate_every or batching.batches_per_epoch, batching.batches), config.label_smoothing
        )
        self.model.compile(
            optimizer=build_optimizer(config, batching.batches),
            loss=keras.losses.CategoricalCrossentropy(label_smoothing=config.label_smoothing),
            metrics=["accuracy", self.batch_metrics],
            # Keras' loop over several steps cannot hold the replicas of a mirrored step.
            steps_per_execution=STEPS_PER_EXECUTION[device] if config.strategy == "single" else 1,
            jit_compile=_can_use_xla(config, device),
        )
        # Keras would trace the step a second time if variables were made while it traces it for the first time.
        self.model.optimizer.build(self.model.trainable_variables)
        self.model.compute_metrics(None, data.one_hot[:1], data.one_hot[:1])
        self._unused_optimizer = _values(self.model.optimizer.variables)

    def reset(self, batching: Batching) -> None:
        """Become the untrained network of another member, whose batches have the same sizes; compiled once for all."""
        self.batching = batching
        self.restore(_values(self._untrained(rows=1).state), self._unused_optimizer)

    def snapshot(self) -> tuple[Arrays, Arrays]:
        """Copies of the network's state and of the optimizer's."""
        return _values(self.model.state), _values(self.model.optimizer.variables)

    def restore(self, state: Arrays, optimizer: Arrays) -> None:
        """Go on from a `snapshot`."""
        for variables, arrays in ((self.model.state, state), (self.model.optimizer.variables, optimizer)):
            for variable, array in zip(variables, arrays, strict=True):
                variable.assign(array)

    def weights(self) -> Arrays:
        """Copies of the weights to keep: of the network alone, averaged or not, in the order of ``get_weights``."""
        return [np.array(array) for array in self._kept().get_weights()]

    def compile(self) -> float:
        """Compile the training step; changes nothing that training sees. Returns seconds."""
        started = time.perf_counter()
        state, optimizer = self.snapshot()
        size, rest = self.batching.batch_size, self.batching.rows % self.batching.batch_size
        self._fit(np.arange(min(size + rest, self.batching.rows)), [])
        self.validate()
        self.restore(state, optimizer)
        return time.perf_counter() - started

    def learning_rate(self, step: int) -> float:
        """Of the 0-based ``step``."""
        return learning_rate(self.config, self.batching.batches, step)

    def fit(
        self, rows: Rows, first_batch: int, report: BatchReport, deadline: float = math.inf
    ) -> tuple[list[LossAndAccuracy], bool]:
        """Train on the train rows in this order.

        Args:
            rows: numbers of the rows.
            first_batch: batches that were trained before.
            report: told of batches while they are trained.
            deadline: when to stop, of ``time.monotonic``.

        Returns:
            The metrics of each batch, and whether the deadline passed.

        Raises:
            TrainingError: the loss became infinite or not a number.
        """
        from mnist_pipeline.training.training_model import FitCallback

        callback = FitCallback(first_batch, report, deadline)
        self._fit(rows, [callback])
        batches = self.batch_metrics.per_batch(callback.trained)  # only now does each backend let it be read
        if callback.diverged:
            losses = [batch.loss for batch in batches]
            place = next((i for i, loss in enumerate(losses) if not math.isfinite(loss)), len(losses) - 1)
            step = first_batch + place
            raise TrainingError(
                f"the loss became {losses[place]:g} in step {step + 1} at learning rate {self.learning_rate(step):g}; "
                "lower the learning rate"
            )
        return batches, callback.timed_out

    def validate(self) -> LossAndAccuracy | None:
        """Means over the validation rows; None without validation rows.

        Raises:
            TrainingError: the loss is infinite or not a number.
        """
        if not self.data.validation:
            return None
        # Batch by batch through the bare network: nothing is compiled for it, and a mirrored one needs no equal shares.
        starts = range(self.data.train, len(self.data.images), VALIDATION_BATCH)
        kept = self._kept()
        parts = [self._validate(kept, start) for start in starts]
        loss, right = np.sum(parts, axis=0) / self.data.validation
        if not math.isfinite(loss):
            step = int(self.model.optimizer.iterations)
            raise TrainingError(
                f"the validation loss became {loss:g} after step {step} at learning rate "
                f"{self.learning_rate(step - 1):g}; lower the learning rate"
            )
        return LossAndAccuracy(float(loss), float(right))

    def _untrained(self, rows: int) -> Any:
        """A training model as the member's seed makes it, of so many train rows."""
        from mnist_pipeline.training.training_model import TrainingModel

        config, seed = self.config, self.batching.seed
        core = build_model(config.architecture, derived_seed(seed, WEIGHTS), config.precision)
        draws = derived_seed(seed, AUGMENTATION)
        return TrainingModel(core, self.data.images[:rows], config.augmentation, draws, config.average_batches)

    def _kept(self) -> Any:
        """The network with the weights that would be kept now."""
        if self._averaged is None:
            return self.core
        self._averaged.set_weights(_values(self.model.averages))
        return self._averaged

    def _validate(self, network: Any, start: int) -> tuple[float, float]:
        """Summed losses and number of right answers of one batch of validation rows."""
        keras = load_keras()
        rows = slice(start, start + VALIDATION_BATCH)
        images, truth = to_model_input(self.data.images[rows]), self.data.one_hot[rows]
        probabilities = keras.ops.convert_to_numpy(network(images, training=False))
        losses = keras.losses.categorical_crossentropy(
            truth, probabilities, label_smoothing=self.config.label_smoothing
        )
        right = probabilities.argmax(axis=1) == truth.argmax(axis=1)
        return float(keras.ops.sum(losses)), float(right.sum())

    def _fit(self, rows: Rows, callbacks: list[Any]) -> None:
        self.model.fit(
            rows.astype(np.int32),
            self.data.one_hot[rows],
            batch_size=self.batching.batch_size,
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
