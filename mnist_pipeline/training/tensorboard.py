"""The curves of a training as TensorBoard event files."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from mnist_pipeline.errors import MissingExtraError
from mnist_pipeline.training.journal import Journal

FIGURES = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds")


class TensorBoardLog:
    """Writes what a growing journal adds; starts ``folder`` anew, so that it tells of one training."""

    def __init__(self, folder: Path) -> None:
        try:
            import tensorflow as tf
        except ImportError as error:
            raise MissingExtraError("tensorboard logging", "train") from error
        shutil.rmtree(folder, ignore_errors=True)
        # The package tensorboard, which shows the files, need not be installed to write them: ``tf.summary.scalar``
        # asks for it, the op beneath does not.
        self._write: Any = tf.summary.write
        self._metadata = tf.compat.v1.SummaryMetadata(
            plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
        )
        self._writer = tf.summary.create_file_writer(str(folder))
        self._epochs = self._batches = self._validations = 0

    def write(self, journal: Journal) -> None:
        """Add the epochs, batches and validations that ``journal`` has and earlier ones had not."""
        with self._writer.as_default():
            for epoch in journal.epochs[self._epochs :]:
                for name in FIGURES:
                    if (value := getattr(epoch, name)) is not None:
                        self._scalar(f"epoch/{name}", value, epoch.epoch)
            for name in ("loss", "accuracy"):
                for step, value in enumerate(getattr(journal.batches, name)[self._batches :], self._batches + 1):
                    self._scalar(f"batch/{name}", value, step)
                for found in journal.validations[self._validations :]:
                    self._scalar(f"validation/{name}", getattr(found, name), found.batch)
        self._writer.flush()
        self._epochs, self._batches = len(journal.epochs), len(journal.batches.loss)
        self._validations = len(journal.validations)

    def close(self) -> None:
        self._writer.close()

    def _scalar(self, name: str, value: float, step: int) -> None:
        self._write(name, np.float32(value), step=step, metadata=self._metadata)
