"""The networks are the ones that the presets promise."""

from typing import get_args

import numpy as np
import pytest

from mnist_pipeline.config import PRESETS, TrainConfig
from mnist_pipeline.training.architectures import ARCHITECTURES, build_model


@pytest.fixture(scope="module")
def codelab():
    return build_model("codelab", seed=7)


def test_the_codelab_has_5994_parameters(codelab):
    assert [layer.count_params() for layer in codelab.layers] == [208, 0, 3_216, 0, 0, 2_570]
    assert codelab.count_params() == 5_994


def test_the_codelab_has_the_shapes_of_the_tutorial(codelab):
    assert codelab.input_shape == (None, 28, 28, 1)
    assert [layer.output.shape[1:] for layer in codelab.layers] == [
        (24, 24, 8),
        (12, 12, 8),
        (8, 8, 16),
        (4, 4, 16),
        (256,),
        (10,),
    ]


def test_the_codelab_starts_from_the_weights_of_tensorflow_js(codelab):
    kernels = {layer.name: np.asarray(layer.kernel) for layer in codelab.layers if layer.weights}
    # tf.js: a normal of sd sqrt(1 / fan_in), cut off at two sd; Keras would cut off at 2.27 of these.
    for name, fan_in in {"conv2d_1": 25, "conv2d_2": 200, "probabilities": 256}.items():
        in_sd = kernels[name] * np.sqrt(fan_in)
        assert np.abs(in_sd).max() <= 2
        assert in_sd.std() == pytest.approx(0.8796, abs=0.1)
    assert all((np.asarray(layer.bias) == 0).all() for layer in codelab.layers if layer.weights)


def test_activations_and_pooling_are_those_of_the_tutorial(codelab):
    first, pool, second, _, _, last = codelab.layers
    assert [layer.activation.__name__ for layer in (first, second, last)] == ["relu", "relu", "softmax"]
    assert (first.kernel_size, second.kernel_size, first.strides) == ((5, 5), (5, 5), (1, 1))
    assert (pool.pool_size, pool.strides) == ((2, 2), (2, 2))


def test_the_seed_decides_the_weights():
    same, again, other = (build_model("codelab", seed=seed).get_weights() for seed in (1, 1, 2))
    assert all((a == b).all() for a, b in zip(same, again, strict=True))
    assert not any((a == b).all() for a, b in zip(same, other, strict=True) if a.any())


@pytest.mark.parametrize(
    ("name", "parameters"), [("codelab", 5_994), ("convnet", 33_194), ("dense", 33_400), ("compact", 141_770)]
)
def test_every_architecture_gives_probabilities_of_ten_classes(name, parameters):
    model = build_model(name, seed=0)
    assert model.count_params() == parameters
    images = np.random.default_rng(0).random((3, 28, 28, 1), np.float32)
    probabilities = np.asarray(model(images, training=False))
    assert probabilities.shape == (3, 10)
    assert probabilities.dtype == np.float32
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(3), abs=1e-5)


def test_every_architecture_of_the_config_is_built_here():
    assert set(ARCHITECTURES) == set(get_args(TrainConfig.model_fields["architecture"].annotation))


def test_the_presets_keep_their_sizes():
    sizes = {name: build_model(c.architecture, 0).count_params() * c.members for name, c in PRESETS.items()}
    assert sizes["standard"] == sizes["codelab"] == sizes["codelab-full"] == sizes["sgd-2018"] == 5_994
    assert sizes["accurate"] <= 150_000
    assert sizes["accurate"] < sizes["ensemble"] <= 1_000_000
