"""Fit the network that knows what looks like a digit (`rejection.novelty`), on train rows alone. Pure."""

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.rejection.negatives import draw_negatives
from mnist_pipeline.rejection.novelty import ANSWERS, AT_ONCE, FEATURES, Floats, describe

HIDDEN = 64
MOST_ROWS = 10_000
"""Train rows that are worth looking at; more gain little."""
LEAST_ROWS = 500
NEGATIVES_PER_DIGIT = 2
"""How many pictures that are no digit, for each digit."""
KINDS = 12
EPOCHS = 12
BATCH = 512
RATE = 5e-3
DECAY = 1e-4
SEED = 7


def fit_network(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> tuple[Floats, Floats, int] | None:
    """The two layers of `Novelty`, biases last, and how many rows they were fitted on.

    Args:
        images: uint8 [n, 28, 28] of train rows; about `MOST_ROWS` of them are enough.
        labels: uint8 [n].

    Returns:
        None where there are too few rows.
    """
    if len(images) < LEAST_ROWS:
        return None
    random = np.random.default_rng(SEED)
    negatives = draw_negatives(
        (images / np.float32(255)).astype(np.float32),
        labels,
        max(1, NEGATIVES_PER_DIGIT * len(images) // KINDS),
        random,
    )
    seen = np.concatenate([_described(images), _described(negatives * np.float32(255))])
    answers = np.concatenate([labels.astype(np.int64), np.full(len(negatives), ANSWERS - 1)])
    mean, spread = seen.mean(axis=0), seen.std(axis=0) + np.float32(0.01)
    into, out = _train((seen - mean) / spread, answers, random)
    # The standardisation becomes a part of the first layer.
    into[:-1] /= spread[:, None]
    into[-1] -= mean @ into[:-1]
    return into, out, len(images)


def _described(images: NDArray[np.uint8] | Floats) -> Floats:
    return np.concatenate([describe(images[start : start + AT_ONCE]) for start in range(0, len(images), AT_ONCE)])


def _train(seen: Floats, answers: NDArray[np.int64], random: np.random.Generator) -> tuple[Floats, Floats]:
    """Cross-entropy, Adam (Kingma and Ba 2015) with a rate that falls to nothing."""
    layers = [
        np.concatenate([random.normal(0, np.sqrt(2 / rows), (rows, columns)), np.zeros((1, columns))]).astype(
            np.float32
        )
        for rows, columns in ((FEATURES, HIDDEN), (HIDDEN, ANSWERS))
    ]
    moments = [(np.zeros_like(layer), np.zeros_like(layer)) for layer in layers]
    truth = np.eye(ANSWERS, dtype=np.float32)
    per_epoch = -(-len(seen) // BATCH)
    step, steps = 0, per_epoch * EPOCHS
    for _ in range(EPOCHS):
        for rows in np.array_split(random.permutation(len(seen)), per_epoch):
            step += 1
            gradients = _gradients(layers, seen[rows], truth[answers[rows]])
            rate = RATE * (1 - step / steps) * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
            for layer, gradient, moment in zip(layers, gradients, moments, strict=True):
                _move(layer, gradient, moment, np.float32(rate))
    return layers[0], layers[1]


def _move(layer: Floats, gradient: Floats, moment: tuple[Floats, Floats], rate: np.float32) -> None:
    first, second = moment
    first += np.float32(0.1) * (gradient - first)
    second += np.float32(0.001) * (gradient * gradient - second)
    layer -= rate * first / (np.sqrt(second) + np.float32(1e-8))


def _gradients(layers: list[Floats], seen: Floats, truth: Floats) -> tuple[Floats, Floats]:
    into, out = layers
    hidden = np.maximum(seen @ into[:-1] + into[-1], 0)
    logits = hidden @ out[:-1] + out[-1]
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    error = (odds / odds.sum(axis=1, keepdims=True) - truth) / np.float32(len(seen))
    back = (error @ out[:-1].T) * (hidden > 0)
    return _gradient(into, seen, back), _gradient(out, hidden, error)


def _gradient(layer: Floats, inputs: Floats, error: Floats) -> Floats:
    """Of one layer, biases last; the weights decay."""
    weights = inputs.T @ error + np.float32(DECAY) * layer[:-1]
    return np.concatenate([weights, error.sum(axis=0, keepdims=True)])
