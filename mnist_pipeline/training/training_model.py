"""The Keras side of a training: the model around the model, the metrics of its batches, and the callback of its fits.

This module imports Keras when it is imported: import it inside functions, after `backend.load_keras`.
Only the Keras 3 API is used, so that each of its backends trains.
"""

import math
import time
from typing import Any

import keras  # noqa: TID253 - the classes below derive from Keras'; see the module's docstring
import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.config import AugmentationConfig
from mnist_pipeline.training.augmentation import augment
from mnist_pipeline.training.progress import BatchReport
from mnist_pipeline.training.training_log import LossAndAccuracy

ops = keras.ops


class TrainingModel(keras.Model):  # type: ignore[misc]  # Keras comes without types
    """Row numbers in, probabilities out: gathers, scales and augments the images on the device, then asks ``core``.

    Attributes:
        core: float32 [N, 28, 28, 1] in [0, 1] -> float32 [N, 10]; all that is kept of a training.
        images: uint8 [rows, 28, 28] on the device.
        averages: moving averages of the core's weights, statistics included, in the order of ``get_weights``;
            empty where ``average_batches`` is 0.
    """

    def __init__(
        self,
        core: Any,
        images: NDArray[np.uint8],
        augmentation: AugmentationConfig,
        seed: int,
        average_batches: int = 0,
    ) -> None:
        super().__init__(name="training_model")
        self.core = core
        self.images = self.add_weight(
            name="images",
            shape=images.shape,
            dtype="uint8",
            trainable=False,
            autocast=False,
            initializer=lambda _, dtype: ops.convert_to_tensor(images, dtype=dtype),
        )
        self.augmentation = augmentation
        self.draws = keras.random.SeedGenerator(seed)
        self.average_batches = average_batches
        # Every replica of a distributed training has the same weights: one of them is enough.
        once = {"trainable": False, "autocast": False, "aggregation": "only_first_replica"}
        averaged = core.weights if average_batches else ()
        self.averages = [
            self.add_weight(name=f"average_{i}", shape=weight.shape, dtype=weight.dtype, initializer="zeros", **once)
            for i, weight in enumerate(averaged)
        ]
        self.averaged = self.add_weight(name="averaged", shape=(), dtype="int32", initializer="zeros", **once)

    def call(self, rows: Any, training: bool = False) -> Any:
        """float32 [N, 10], from int32 [N] row numbers of ``images``."""
        rows = ops.cast(rows, "int32")  # Keras traces a distributed model with the mean of two batches: floats
        images = ops.take(ops.convert_to_tensor(self.images), rows, axis=0)
        images = ops.expand_dims(ops.cast(images, "float32") / 255.0, -1)
        if training:
            images = augment(images, self.augmentation, self.draws)
        if training and self.averages:
            self._average()
        return self.core(images, training=training)

    def _average(self) -> None:
        """Let the weights before this step take part in their averages.

        At first each counts for more, so that a short training's average is of its last tenth.
        """
        past = ops.cast(ops.convert_to_tensor(self.averaged), "float32")
        share = ops.maximum(1.0 / self.average_batches, 9.0 / (past + 9.0))
        for average, weight in zip(self.averages, self.core.weights, strict=True):
            before = ops.convert_to_tensor(average)
            average.assign(before + (ops.convert_to_tensor(weight) - before) * share)
        self.averaged.assign(self.averaged + 1)

    @property
    def state(self) -> list[Any]:
        """Every variable that training changes but for the optimizer's: weights, statistics, seed states."""
        return [v for v in (*self.trainable_variables, *self.non_trainable_variables) if v is not self.images]


class BatchMetrics(keras.metrics.Metric):  # type: ignore[misc]  # Keras comes without types
    """Loss and accuracy of every single batch since the last reset, recorded inside the compiled step.

    Keras' own are running means over the epoch, and with several steps an execution it
    shows only the last of them.
    """

    NAME = "batch"

    def __init__(self, capacity: int, label_smoothing: float) -> None:
        super().__init__(name=self.NAME)
        self.capacity = capacity
        self.label_smoothing = label_smoothing
        # Sums, so that the replicas of a distributed training add up to the whole batch.
        self.sums = self.add_variable((capacity, 3), "zeros", dtype="float32", name="sums")
        self.count = self.add_variable((), "zeros", dtype="int32", aggregation="only_first_replica", name="count")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # noqa: ARG002 - Keras names it
        y_true, y_pred = ops.cast(y_true, "float32"), ops.cast(y_pred, "float32")
        losses = keras.losses.categorical_crossentropy(y_true, y_pred, label_smoothing=self.label_smoothing)
        right = ops.equal(ops.argmax(y_true, axis=-1), ops.argmax(y_pred, axis=-1))
        row = [ops.sum(losses), ops.sum(ops.cast(right, "float32")), ops.cast(ops.shape(y_true)[0], "float32")]
        here = ops.expand_dims(ops.equal(ops.arange(self.capacity), ops.convert_to_tensor(self.count)), 1)
        self.sums.assign(ops.where(here, ops.expand_dims(ops.stack(row), 0), ops.convert_to_tensor(self.sums)))
        self.count.assign(self.count + 1)

    def result(self) -> Any:
        return ops.convert_to_tensor(self.count)

    def per_batch(self, batches: int) -> list[LossAndAccuracy]:
        """The first ``batches`` batches since the last reset."""
        sums = self.sums.numpy()[:batches].astype(np.float64)
        with np.errstate(invalid="ignore"):
            means = sums[:, :2] / sums[:, 2:]
        return [LossAndAccuracy(float(loss), float(accuracy)) for loss, accuracy in means]


class FitCallback(keras.callbacks.Callback):  # type: ignore[misc]  # Keras comes without types
    """Looks after one call of ``fit``: reports it, stops it at its deadline, and at the first infinite loss.

    Attributes:
        trained: batches trained in this call.
        timed_out: the deadline has passed, and training was stopped.
        diverged: the loss became infinite or not a number, and training was stopped.
    """

    def __init__(self, first_batch: int, report: BatchReport, deadline: float) -> None:
        """``first_batch`` batches were trained before; ``deadline`` is a time of ``time.monotonic``."""
        super().__init__()
        self.trained = 0
        self.timed_out = self.diverged = False
        self._first_batch = first_batch
        self._report = report
        self._deadline = deadline

    def on_train_batch_end(self, batch: int, logs: dict[str, Any]) -> None:  # noqa: ARG002 - Keras passes both
        # Not ``batch``: with several steps an execution, Keras counts steps that the data did not fill.
        self.trained = int(logs[BatchMetrics.NAME])
        running = {name: float(logs[name]) for name in ("loss", "accuracy")}
        if not math.isfinite(running["loss"]):
            self.diverged = self.model.stop_training = True
            return
        self._report(self._first_batch, self.trained, running)
        if time.monotonic() >= self._deadline:
            self.timed_out = self.model.stop_training = True
