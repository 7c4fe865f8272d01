"""Averaged weights are the moving averages they are said to be, and they are what is measured and saved."""

import numpy as np
import pytest

from mnist_pipeline.config import AugmentationConfig
from mnist_pipeline.data.dataset import Dataset, to_model_input
from mnist_pipeline.keras_backend import load_keras
from mnist_pipeline.training.architectures import build_model


def test_each_step_adds_its_share_and_the_first_ones_more():
    from mnist_pipeline.training.training_model import TrainingModel

    core = build_model("codelab", seed=1)
    model = TrainingModel(core, np.zeros((4, 28, 28), np.uint8), AugmentationConfig(), seed=2, average_batches=5)
    expected = 0.0
    for step in range(60):
        core.set_weights([np.full(weight.shape, step, np.float32) for weight in core.get_weights()])
        model(np.arange(4, dtype=np.int32), training=True)
        model(np.arange(4, dtype=np.int32), training=False)
        expected += (step - expected) * max(1 / 5, 9 / (step + 9))
    assert [average.shape for average in model.averages] == [weight.shape for weight in core.weights]
    for average in model.averages:
        assert np.asarray(average) == pytest.approx(np.full(average.shape, expected), rel=1e-5)
    assert expected == pytest.approx(59 - 4, abs=0.1)  # behind by (1 - share) / share steps


def test_the_averaged_network_is_measured_and_saved(train, digits_dataset):
    last, averaged = (train(average_batches=n, epochs=2) for n in (0, 20))
    # The same training; only what is kept of it differs.
    assert averaged.history.batches == last.history.batches
    assert averaged.result.weights_sha256 != last.result.weights_sha256
    assert averaged.result.validation_accuracy > 0.8
    validation = Dataset.open(digits_dataset.directory).validation
    model = load_keras().models.load_model(averaged.run.model_keras)
    right = model.predict(to_model_input(validation.images), verbose=0).argmax(axis=1) == validation.labels
    assert right.mean() == pytest.approx(averaged.result.validation_accuracy, abs=1e-6)
