"""Muon turns kernels by orthogonal steps, and leaves to Adam what is not for it."""

import numpy as np
import pytest

from mnist_pipeline.config import TrainConfig
from mnist_pipeline.training.architectures import OUTPUT_LAYER, build_model
from mnist_pipeline.training.optimizers import build_optimizer

RATE = 0.01
CONFIG = TrainConfig(preset="codelab-full", optimizer="muon", learning_rate=RATE)


def test_the_first_step_of_each_variable_is_muons_or_adams():
    model = build_model("compact", seed=1)
    optimizer = build_optimizer(CONFIG, steps=10)
    before = [np.asarray(variable) for variable in model.trainable_variables]
    rng = np.random.default_rng(2)
    gradients = [(rng.uniform(0.5, 1.5, v.shape) * rng.choice([-1, 1], v.shape)).astype(np.float32) for v in before]
    optimizer.apply(gradients, model.trainable_variables)
    convolutions = 0
    for variable, old, gradient in zip(model.trainable_variables, before, gradients, strict=True):
        step = np.asarray(variable) - old
        if len(variable.shape) < 4:
            # Adam's first step is the learning rate against the gradient's sign.
            assert step == pytest.approx(-RATE * np.sign(gradient), rel=1e-2, abs=1e-6)
            continue
        convolutions += 1
        matrix, towards = (array.reshape(-1, array.shape[-1]) for array in (step, -gradient))
        left, sizes, right = np.linalg.svd(towards, full_matrices=False)
        # As large as Adam's steps become: a root mean square of a fifth of the learning rate, in every direction alike.
        in_each_direction = np.diag(left.T @ matrix @ right.T)
        assert in_each_direction / (0.2 * RATE * max(matrix.shape) ** 0.5) == pytest.approx(1, abs=0.35)
        assert left @ np.diag(in_each_direction) @ right == pytest.approx(matrix, abs=1e-5)
        assert sizes.max() / sizes.min() > 1.5  # the gradient itself was not orthogonal
    assert convolutions == 4
    assert OUTPUT_LAYER in {layer.name for layer in model.layers}


def test_a_dense_layer_that_is_not_the_last_is_muons():
    model = build_model("dense", seed=1)
    before = [np.asarray(variable) for variable in model.trainable_variables]
    build_optimizer(CONFIG, steps=10).apply([np.ones(v.shape, np.float32) for v in before], model.trainable_variables)
    steps = [np.asarray(v) - old for v, old in zip(model.trainable_variables, before, strict=True)]
    hidden, *others = steps
    assert np.abs(hidden).max() < RATE / 2  # one direction shares its step among all entries
    assert all(step == pytest.approx(-RATE, rel=1e-2) for step in others)


def test_it_trains_the_same_twice_and_better_than_chance(train):
    trained = [train(optimizer="muon", epochs=1, learning_rate=RATE) for _ in "12"]
    assert trained[0].result.weights_sha256 == trained[1].result.weights_sha256
    assert trained[0].result.validation_accuracy > 0.6
