"""Train the network that knows "no digit": ten classes, and none of them.

It stands beside the classifier in model.onnx (`export`), and depends on the train rows alone, not on a preset: one
training serves them all. It is never shown a row that a preset could hold out for validation.
"""

import logging
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from mnist_pipeline import usable_cpus
from mnist_pipeline.data.dataset import Dataset, to_model_input
from mnist_pipeline.data.order import stable_permutation
from mnist_pipeline.errors import TrainingError
from mnist_pipeline.files import open_atomic, write_json
from mnist_pipeline.imaging.drawing import moved
from mnist_pipeline.keras_backend import load_keras
from mnist_pipeline.progress import Progress, ReportProgress, no_progress
from mnist_pipeline.rejection.blocks import draw_blocks
from mnist_pipeline.rejection.classes import NONE, Samples
from mnist_pipeline.runs.artifacts import FetchedDataset, NoveltyModel
from mnist_pipeline.training.architectures import INPUT_SHAPE, compact_features
from mnist_pipeline.training.batching import derived_seed
from mnist_pipeline.training.saving import save_model, weights_digest
from mnist_pipeline.workspace import RunDirectory

logger = logging.getLogger(__name__)

SEED = 0
MOST_ROWS = 10_560
"""Train rows that are shown as they are, half of them where there are few; some eight pictures are made of each."""
EPOCHS = 5
BATCH = 256
LEARNING_RATE = 0.01
WARMUP, WARMUP_START = 0.1, 0.04
"""Share of the steps in which the learning rate rises to its peak, and the share of the peak from which it does."""
WEIGHT_DECAY = 0.05
FILTERS = 64
DROPOUT = 0.3
DRAWING = 0.25
"""Share of the time in which the pictures are drawn, about."""
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
    shown = min(MOST_ROWS, len(rows) // 2)

    def tell(done: int) -> None:
        report_progress(Progress("novelty, pictures", done, shown, "rows", overall=DRAWING * done / shown))

    samples = draw_blocks(rows.images, rows.labels, shown, SEED, usable_cpus(), tell)
    drawn = time.perf_counter()
    with _clear_errors(checkpoints):
        model = _fit(samples, checkpoints / "novelty.npz", report_progress)
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
    model = _compiled(steps * EPOCHS)
    _restore(model, checkpoint)
    classes = samples.classes.astype(np.int32)
    for epoch in range(int(model.optimizer.iterations) // steps, EPOCHS):
        order = stable_permutation(len(classes), (SEED, epoch))
        told = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs, epoch=epoch: report_progress(
                Progress(
                    f"novelty, epoch {epoch + 1}/{EPOCHS}",
                    batch + 1,
                    steps,
                    "batches",
                    {name: float(value) for name, value in logs.items()},
                    overall=DRAWING + (1 - DRAWING) * (epoch + (batch + 1) / steps) / EPOCHS,
                )
            )
        )
        # No part of the stored state, and the epoch must be the same in a training that goes on.
        model.get_layer(DROPOUT_LAYER).seed_generator.state.assign([SEED, epoch * steps])
        images = to_model_input(moved(samples.images[order], np.random.default_rng((SEED, epoch))))
        model.fit(images, classes[order], batch_size=BATCH, shuffle=False, verbose=0, callbacks=[told])
        _save(model, checkpoint)
    kept = build_novelty()  # without its optimizer, which the file need not know
    kept.set_weights(model.get_weights())
    return kept


def _compiled(steps: int) -> Any:
    keras = load_keras()
    from mnist_pipeline.training.muon import Muon

    model = build_novelty()
    warmup = int(WARMUP * steps)
    rate = keras.optimizers.schedules.CosineDecay(
        WARMUP_START * LEARNING_RATE, steps - warmup, warmup_target=LEARNING_RATE, warmup_steps=warmup
    )
    decay = {"weight_decay": WEIGHT_DECAY, "adam_weight_decay": WEIGHT_DECAY}
    optimizer = Muon(learning_rate=rate, exclude_layers=[DIGITS_LAYER, NONE_LAYER], **decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"])
    # Keras would trace the step a second time if variables were made while it traces it for the first time.
    optimizer.build(model.trainable_variables)
    model.compute_metrics(None, np.zeros(1, np.int32), np.zeros((1, NONE + 1), np.float32))
    return model


def build_novelty() -> Any:
    """An untrained network: float32 [n, 28, 28, 1] in [0, 1] to `NONE` + 1 logits, float32 [n, 11].

    The convolutions of `architectures.compact`, with fewer filters.
    """
    keras = load_keras()
    keras.utils.set_random_seed(SEED)
    layers = keras.layers
    images = keras.Input(INPUT_SHAPE, name="images")
    seen = compact_features(images, FILTERS, (derived_seed(SEED, layer) for layer in count()))
    seen = layers.Dropout(DROPOUT, seed=SEED, name=DROPOUT_LAYER)(seen)
    digits, none = layers.Dense(NONE, name=DIGITS_LAYER)(seen), layers.Dense(1, name=NONE_LAYER)(seen)
    return keras.Model(images, layers.Concatenate(name="logits")([digits, none]), name="novelty")


def _variables(model: Any) -> list[Any]:
    return [*model.weights, *model.optimizer.variables]


def _save(model: Any, checkpoint: Path) -> None:
    """What the training is after a whole epoch, as one file, whole or absent."""
    with open_atomic(checkpoint) as file:
        np.savez(file, *(np.asarray(variable) for variable in _variables(model)), allow_pickle=False)


def _restore(model: Any, checkpoint: Path) -> None:
    """Go on from the last whole epoch, where there is one."""
    if not checkpoint.is_file():
        return
    try:
        with np.load(checkpoint, allow_pickle=False) as archive:
            found = [(variable, archive[name]) for variable, name in zip(_variables(model), archive, strict=True)]
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        logger.warning("%s is no whole checkpoint (%s); the training starts anew", checkpoint, error)
        return
    for variable, array in found:
        variable.assign(array)


@contextmanager
def _clear_errors(checkpoints: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TrainingError(
            f"training cannot write ({error.strerror or error}); finished epochs are kept in {checkpoints}"
        ) from error
