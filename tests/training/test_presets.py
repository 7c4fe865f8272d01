"""The named trainings are what their names promise; every field does something."""

import numpy as np
import pytest
from pydantic import ValidationError

from mnist_pipeline.config import PRESETS, AugmentationConfig, TrainConfig
from mnist_pipeline.training.optimizers import build_optimizer, learning_rate

TUTORIAL = {
    "architecture": "codelab",
    "optimizer": "adam",
    "learning_rate": 0.001,
    "schedule": "constant",
    "batch_size": 512,
    "epochs": 10,
    "label_smoothing": 0,
    "weight_decay": 0,
    "members": 1,
}


def test_the_codelab_is_the_tutorial():
    codelab = PRESETS["codelab"]
    assert {name: getattr(codelab, name) for name in TUTORIAL} == TUTORIAL
    assert (codelab.train_rows, codelab.validation_rows) == (5_500, 1_000)
    assert not codelab.augmentation.changes_something


def test_the_full_codelab_differs_in_its_rows_alone():
    rows = {"preset", "train_rows", "validation_rows"}
    full, codelab = (PRESETS[name].model_dump(exclude=rows) for name in ("codelab-full", "codelab"))
    assert full == codelab
    assert PRESETS["codelab-full"].train_rows is None


def test_the_tutorial_of_2018_uses_plain_sgd():
    config = PRESETS["sgd-2018"]
    assert (config.optimizer, config.learning_rate, config.momentum, config.batch_size) == ("sgd", 0.15, 0, 64)
    assert (config.max_batches, config.validate_every_batches, config.validation_rows) == (100, 5, 1_000)
    assert config.architecture == "codelab"


@pytest.mark.parametrize("name", ["mnist-convnet", "mnist-dense"])
def test_the_example_of_tensorflow_js_holds_out_15_percent(name):
    config = PRESETS[name]
    assert (config.optimizer, config.batch_size, config.epochs, config.validation_rows) == ("rmsprop", 320, 3, 8_250)


def test_the_default_is_the_codelab_network_trained_well():
    standard = PRESETS["standard"]
    assert standard.architecture == "codelab"
    assert standard.schedule == "cosine"
    assert standard.augmentation.changes_something


def test_an_ensemble_is_several_accurate_networks():
    ensemble = PRESETS["ensemble"]
    assert ensemble.members > 1
    assert ensemble.model_copy(update={"preset": "accurate", "members": 1}) == PRESETS["accurate"]


def test_every_field_says_what_it_does():
    for fields in (TrainConfig.model_fields, AugmentationConfig.model_fields):
        assert [name for name, field in fields.items() if not field.description] == []


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"momentum": 0.9}, "needs optimizer=sgd, which is muon"),
        ({"preset": "codelab", "warmup": 0.1}, "needs schedule=cosine, which is constant"),
        ({"members": 0}, "greater than or equal to 1"),
        ({"max_minutes": 0}, "greater than 0"),
        ({"augmentation": {"rotation": 90}}, "less than or equal to 45"),
        ({"precision": "float16"}, "'float32', 'mixed_bfloat16' or 'mixed_float16'"),
    ],
)
def test_what_does_nothing_or_cannot_be_is_refused(fields, problem):
    with pytest.raises(ValidationError, match=problem):
        TrainConfig(**fields)


def test_a_cosine_schedule_rises_to_its_peak_and_falls_to_zero():
    config = TrainConfig(schedule="cosine", warmup=0.2, learning_rate=0.5)
    rates = [learning_rate(config, 100, step) for step in range(101)]
    assert int(np.argmax(rates)) == 20
    assert rates[20] == pytest.approx(0.5)
    assert rates[0] == pytest.approx(0.02)
    assert rates[60] == pytest.approx(0.25)
    assert rates[100] == pytest.approx(0, abs=1e-9)
    assert np.diff(rates[:21]).min() > 0 > np.diff(rates[20:]).max()


def test_a_constant_rate_is_constant():
    assert {learning_rate(TrainConfig(preset="codelab-full", learning_rate=0.1), 10, step) for step in range(10)} == {
        0.1
    }


def test_weight_decay_shrinks_kernels_and_leaves_biases():
    import keras

    kernel, bias = (keras.Variable(np.full(3, 2.0, np.float32), name=name) for name in ("kernel", "bias"))
    optimizer = build_optimizer(
        TrainConfig(preset="codelab-full", optimizer="sgd", learning_rate=0.5, weight_decay=0.1), 10
    )
    optimizer.build([kernel, bias])
    optimizer.apply([np.zeros(3, np.float32)] * 2, [kernel, bias])
    assert np.asarray(kernel.value) == pytest.approx(2 * (1 - 0.5 * 0.1))
    assert np.asarray(bias.value) == pytest.approx(2)


@pytest.mark.parametrize(("optimizer", "name"), [("adam", "Adam"), ("sgd", "SGD"), ("rmsprop", "RMSprop")])
def test_the_optimizer_is_the_one_that_was_asked_for(optimizer, name):
    assert type(build_optimizer(TrainConfig(preset="codelab-full", optimizer=optimizer), 10)).__name__ == name
