"""Train a model: from a fetched dataset to model.keras and history.json."""

import importlib.metadata
import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline import UsedDevice
from mnist_pipeline.config import TrainConfig
from mnist_pipeline.data.dataset import Dataset
from mnist_pipeline.errors import DeviceError, TrainingError
from mnist_pipeline.files import canonical_json, sha256_bytes, write_json
from mnist_pipeline.keras_backend import import_seconds, load_keras
from mnist_pipeline.progress import ReportProgress, no_progress
from mnist_pipeline.runs.artifacts import ExtraImages, FetchedDataset, Output, TrainedModel
from mnist_pipeline.runs.live import LiveCurve
from mnist_pipeline.runs.training_history import TrainingHistory, TrainingSeconds
from mnist_pipeline.training.checkpoint import CheckpointStore
from mnist_pipeline.training.devices import require_device, training_scope
from mnist_pipeline.training.guards import check_learned
from mnist_pipeline.training.loop import Training
from mnist_pipeline.training.network import TrainingData
from mnist_pipeline.training.saving import combine, save_model, weights_digest
from mnist_pipeline.training.summary import rows_of, summarise, total_of
from mnist_pipeline.workspace import RunDirectory

logger = logging.getLogger(__name__)

# Fields of the config that change no weight, and may differ between a training and the one that goes on from it.
WITHOUT_EFFECT_ON_WEIGHTS = {"max_minutes", "device", "preset"}


def train_model(
    config: TrainConfig,
    dataset: FetchedDataset,
    run: RunDirectory,
    checkpoints: Path,
    report_progress: ReportProgress = no_progress,
    *,
    extra: ExtraImages | None = None,
) -> TrainedModel:
    """Fit the network that ``config`` describes, and write ``run.model_keras`` and ``run.history``.

    ``extra`` images are fitted besides the train rows of the dataset.

    After every epoch the training's state is written to ``checkpoints``; what an interrupted
    training of the same config and dataset left there is gone on from.

    Raises:
        DeviceError: ``config.device`` does not work; before any work.
        TrainingError: the loss became infinite, nothing was learned, or a file could not be written.
        MissingExtraError: Keras is not installed.
    """
    with _clear_errors(config, checkpoints):
        device = require_device(config.device)
        data = Dataset.open(
            dataset.directory,
            train_rows=config.train_rows,
            validation_rows=config.validation_rows,
            extra_images=extra.directory if extra else None,
            extra_repeats=config.own_repeats,
        )
        rows = TrainingData.of(data, config.drawn_share, config.seed)
        with training_scope(device, config.strategy) as devices, closing(LiveCurve(run.live)) as live:
            store = CheckpointStore(checkpoints, fingerprint(config, dataset, extra, device, devices))
            training = Training(config, rows, device, devices, store, live, report_progress)
            kept = training.run()
        model = combine(config.architecture, kept, config.views)
        history = _history(training, model, data.validation.labels)
        for line in (*map("  ".join, rows_of(history.layers)), total_of(history.layers)):
            logger.info("%s", line)
        save_model(model, run.model_keras)
        write_json(run.history, history.model_dump(mode="json"))
        return TrainedModel(
            directory=run.path,
            files=Output.digests(run.model_keras, run.history),
            preset=config.preset,
            parameters=history.parameters,
            device=device,
            best_epochs=history.best_epochs,
            epochs=len(history.epochs),
            validation_accuracy=history.validation_accuracy,
            weights_sha256=weights_digest(model.get_weights()),
            extra_images=extra.images if extra else 0,
            extra_images_digest=extra.digest if extra else None,
        )


def fingerprint(
    config: TrainConfig, dataset: FetchedDataset, extra: ExtraImages | None, device: UsedDevice, devices: int
) -> str:
    """Hex SHA-256 of everything that a checkpoint's numbers depend on, and that a resumed training must share."""
    backend = load_keras().backend.backend()
    parts = {
        "config": config.model_dump(mode="json", exclude=WITHOUT_EFFECT_ON_WEIGHTS),
        "dataset": [dataset.digest, extra.digest if extra else None],
        "device": [device, devices],
        "backend": backend,
        "versions": [importlib.metadata.version("keras"), importlib.metadata.version(backend)],
    }
    return sha256_bytes(canonical_json(parts))


@contextmanager
def _clear_errors(config: TrainConfig, checkpoints: Path) -> Iterator[None]:
    """Full disks and full devices as one line for the user."""
    try:
        yield
    except OSError as error:
        what = f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
        raise TrainingError(f"training cannot write ({what}); finished epochs are kept in {checkpoints}") from error
    except Exception as error:
        if type(error).__name__ != "ResourceExhaustedError" and "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise DeviceError(
            f"the device has too little memory for batches of {config.batch_size}; try --batch-size "
            f"{max(1, config.batch_size // 2)}, or --device cpu"
        ) from error


def _history(training: Training, model: Any, held_out: NDArray[np.uint8]) -> TrainingHistory:
    """Of the model as it is saved; ``held_out`` are the labels of the validation rows."""
    log, accuracy = training.log, training.validation_accuracy(model)
    return TrainingHistory(
        config=training.config.model_dump(mode="json"),
        layers=summarise(model),
        parameters=model.count_params(),
        train_rows=training.data.train,
        validation_rows=training.data.validation,
        device=training.device,
        best_epochs=training.best_epochs(),
        validation_accuracy=accuracy,
        stopped=log.stopped or "finished",
        epochs=log.epochs,
        batches=log.batches,
        validations=log.validations,
        seconds=TrainingSeconds(imports=import_seconds(), compile=training.compile_seconds, fit=log.fit_seconds),
        notes=[*training.notes(), *check_learned(accuracy, held_out)],
    )
