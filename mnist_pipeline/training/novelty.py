"""Train the network that knows "no digit": ten classes, and none of them.

It stands beside the classifier in model.onnx (`export`), and depends on the train rows alone, not on a preset: one
training serves them all. It is never shown a row that a preset could hold out for validation.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mnist_pipeline.data.dataset import Dataset, to_model_input
from mnist_pipeline.data.order import stable_permutation
from mnist_pipeline.errors import TrainingError
from mnist_pipeline.files import write_json
from mnist_pipeline.progress import Progress, ReportProgress, no_progress
from mnist_pipeline.rejection.samples import NONE, Samples, draw_samples
from mnist_pipeline.runs.artifacts import FetchedDataset, NoveltyModel
from mnist_pipeline.training.backend import load_keras
from mnist_pipeline.training.saving import save_model
from mnist_pipeline.training.weights import weights_digest
from mnist_pipeline.workspace import RunDirectory

logger = logging.getLogger(__name__)

SEED = 0
MOST_ROWS = 12_000
"""Train rows that are shown as they are; about five pictures are drawn for each."""
EPOCHS = 6
BATCH = 128
LEARNING_RATE = 3e-3
WARMUP_START = 1e-5
WEIGHT_DECAY = 1e-2
FILTERS = (24, 48, 64)
DROPOUT = 0.3
DIGITS_LAYER, NONE_LAYER, DROPOUT_LAYER = "digits", "none", "dropout"


def train_novelty(
    dataset: FetchedDataset, run: RunDirectory, checkpoints: Path, report_progress: ReportProgress = no_progress
) -> NoveltyModel:
    """Draw the samples, fit the network, and write ``run.novelty_keras`` and ``run.novelty``.

    After every epoch the training's state is written to ``checkpoints``; an interrupted training goes on from
    there, and ends with the same weights.

    Raises:
        TrainingError: a file could not be written.
        MissingExtraError: Keras or the stroke fonts are not installed.
    """
    started = time.perf_counter()
    rows = Dataset.open(dataset.directory).rows_never_held_out
    count = min(MOST_ROWS, len(rows))
    samples = draw_samples(rows.images, rows.labels, count, np.random.default_rng(SEED))
    drawn = time.perf_counter()
    with _clear_errors(checkpoints):
        model = _fit(samples, checkpoints / "novelty.keras", report_progress)
        save_model(model, run.novelty_keras)
    digest = weights_digest(model.get_weights())
    told = {
        "samples": len(samples.images),
        "negatives": int((samples.classes == NONE).sum()),
        "parameters": model.count_params(),
        "seconds": {"draw": round(drawn - started, 3), "fit": round(time.perf_counter() - drawn, 3)},
    }
    write_json(run.novelty, told)
    return NoveltyModel(
        directory=run.path,
        files=NoveltyModel.digests(run.novelty_keras, run.novelty),
        samples=len(samples.images),
        parameters=model.count_params(),
        weights_sha256=digest,
    )


def _fit(samples: Samples, checkpoint: Path, report_progress: ReportProgress) -> Any:
    keras = load_keras()
    steps = -(-len(samples.images) // BATCH)
    model = _open(checkpoint) or _compiled(steps * EPOCHS)
    images, classes = to_model_input(samples.images), samples.classes.astype(np.int32)
    for epoch in range(int(model.optimizer.iterations) // steps, EPOCHS):
        order = stable_permutation(len(images), (SEED, epoch))
        told = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs, epoch=epoch: report_progress(
                Progress(
                    f"novelty, epoch {epoch + 1}/{EPOCHS}",
                    batch + 1,
                    steps,
                    "batches",
                    {name: float(value) for name, value in logs.items()},
                    overall=(epoch + (batch + 1) / steps) / EPOCHS,
                )
            )
        )
        # Keras does not store this state, and the epoch must be the same in a training that goes on.
        model.get_layer(DROPOUT_LAYER).seed_generator.state.assign([SEED, epoch * steps])
        model.fit(images[order], classes[order], batch_size=BATCH, shuffle=False, verbose=0, callbacks=[told])
        save_model(model, checkpoint)
    return model


def _compiled(steps: int) -> Any:
    keras = load_keras()
    model = build_novelty()
    rate = keras.optimizers.schedules.CosineDecay(
        WARMUP_START, steps, warmup_target=LEARNING_RATE, warmup_steps=steps // 10
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=WEIGHT_DECAY)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"])
    return model


def build_novelty() -> Any:
    """An untrained network: float32 [n, 28, 28, 1] in [0, 1] to `NONE` + 1 logits, float32 [n, 11]."""
    keras = load_keras()
    keras.utils.set_random_seed(SEED)
    layers = keras.layers
    images = seen = keras.Input((28, 28, 1), name="images")
    for number, filters in enumerate(FILTERS):
        size, strides = (5, 2) if number == 0 else (3, 1)
        seen = layers.Conv2D(filters, size, strides=strides, padding="same", use_bias=False)(seen)
        seen = layers.ReLU()(layers.BatchNormalization()(seen))
        if number == 1:
            seen = layers.MaxPooling2D()(seen)
    seen = layers.Dropout(DROPOUT, seed=SEED, name=DROPOUT_LAYER)(layers.Flatten()(seen))
    digits, none = layers.Dense(NONE, name=DIGITS_LAYER)(seen), layers.Dense(1, name=NONE_LAYER)(seen)
    return keras.Model(images, layers.Concatenate(name="logits")([digits, none]), name="novelty")


def _open(checkpoint: Path) -> Any:
    """The training as the last whole epoch left it; None where there is none."""
    if not checkpoint.is_file():
        return None
    try:
        return load_keras().models.load_model(checkpoint, safe_mode=True)
    except (OSError, ValueError) as error:
        logger.warning("%s is no whole checkpoint (%s); the training starts anew", checkpoint, error)
        return None


@contextmanager
def _clear_errors(checkpoints: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TrainingError(
            f"training cannot write ({error.strerror or error}); finished epochs are kept in {checkpoints}"
        ) from error
