"""The networks: float32 [N, 28, 28, 1] in [0, 1] -> float32 probabilities [N, 10]."""

from collections.abc import Iterator
from itertools import count
from typing import Any

from mnist_pipeline import CLASSES, SIDE
from mnist_pipeline.keras_backend import load_keras
from mnist_pipeline.training.batching import derived_seed

# Standard deviation of a standard normal variable that is cut off at two standard deviations. Keras divides by it, so
# that the weights have the variance asked for; TensorFlow.js, which the codelab uses, does not (tfjs-layers,
# src/initializers.ts). This scale takes Keras' correction out again.
TRUNCATED_SD = 0.87962566103423978
TFJS_SCALE = TRUNCATED_SD**2
INPUT_SHAPE = (SIDE, SIDE, 1)
OUTPUT_LAYER = "probabilities"


def build_model(architecture: str, seed: int, precision: str = "float32") -> Any:
    """A new ``keras.Model`` whose initial weights are a function of ``seed``.

    Args:
        architecture: a value of `TrainConfig.architecture`.
        seed: of the initial weights and of dropout.
        precision: dtype policy of the computations; inputs, weights and probabilities are float32 in each.
    """
    return ARCHITECTURES[architecture](seed, precision)


def codelab(seed: int, precision: str) -> Any:
    """The codelab's CNN, 5,994 parameters: two 5x5 convolutions with 8 and 16 filters, each pooled 2x2; dense 10."""
    layers = load_keras().layers
    kernels = _kernels(seed, "fan_in")  # what the codelab asks for: tf.js' varianceScaling with its defaults
    return _sequential(
        "codelab",
        layers.Conv2D(8, 5, activation="relu", kernel_initializer=next(kernels), dtype=precision, name="conv2d_1"),
        layers.MaxPooling2D(2, strides=2, dtype=precision, name="max_pooling2d_1"),
        layers.Conv2D(16, 5, activation="relu", kernel_initializer=next(kernels), dtype=precision, name="conv2d_2"),
        layers.MaxPooling2D(2, strides=2, dtype=precision, name="max_pooling2d_2"),
        layers.Flatten(dtype=precision, name="flatten"),
        _probabilities(next(kernels)),
    )


def convnet(seed: int, precision: str) -> Any:
    """The ConvNet of the TensorFlow.js example ``mnist``, 33,194 parameters."""
    layers = load_keras().layers
    kernels = _kernels(seed, "fan_avg")  # glorotNormal, the default of tf.js' layers
    options = {"activation": "relu", "dtype": precision}
    return _sequential(
        "convnet",
        layers.Conv2D(16, 3, kernel_initializer=next(kernels), name="conv2d_1", **options),
        layers.MaxPooling2D(2, strides=2, dtype=precision, name="max_pooling2d_1"),
        layers.Conv2D(32, 3, kernel_initializer=next(kernels), name="conv2d_2", **options),
        layers.MaxPooling2D(2, strides=2, dtype=precision, name="max_pooling2d_2"),
        layers.Conv2D(32, 3, kernel_initializer=next(kernels), name="conv2d_3", **options),
        layers.Flatten(dtype=precision, name="flatten"),
        layers.Dense(64, kernel_initializer=next(kernels), name="dense", **options),
        _probabilities(next(kernels)),
    )


def dense(seed: int, precision: str) -> Any:
    """The dense network of the TensorFlow.js example ``mnist``, 33,400 parameters: about as many as its ConvNet."""
    layers = load_keras().layers
    kernels = _kernels(seed, "fan_avg")
    return _sequential(
        "dense",
        layers.Flatten(dtype=precision, name="flatten"),
        layers.Dense(42, activation="relu", kernel_initializer=next(kernels), dtype=precision, name="dense"),
        _probabilities(next(kernels)),
    )


def compact(seed: int, precision: str) -> Any:
    """A modern small CNN, 141,770 parameters: four convolutions with batch normalisation, one of them residual."""
    keras = load_keras()
    layers = keras.layers
    seeds = (derived_seed(seed, layer) for layer in count())
    images = keras.Input(INPUT_SHAPE, name="images")
    found = compact_features(images, 72, seeds, precision)
    found = layers.Dropout(0.3, seed=next(seeds), dtype=precision, name="dropout")(found)
    return keras.Model(
        images, _probabilities(keras.initializers.GlorotUniform(seed=next(seeds)))(found), name="compact"
    )


def compact_features(images: Any, filters: int, seeds: Iterator[int], precision: str = "float32") -> Any:
    """What the convolutions of `compact` make of images: [N, 36 * filters].

    A 5x5 convolution with stride 2 comes first: it sees enough of a stroke to lose nothing by halving
    the image. Unpadded, it leaves 12x12 pixels, and all that follows costs less than a fifth of that on
    28x28; the last row and column, where 1.3 % of MNIST's train images have ink, are not seen.

    Args:
        images: symbolic, float32 [N, 28, 28, 1] in [0, 1].
        filters: of each convolution but the first.
        seeds: one is taken for each kernel.
        precision: dtype policy.
    """
    keras = load_keras()
    layers = keras.layers

    def convolution(
        inputs: Any, number: int, filters: int, size: int = 3, strides: int = 1, padding: str = "same"
    ) -> Any:
        kernel = keras.initializers.HeNormal(seed=next(seeds))
        options = {"padding": padding, "use_bias": False, "kernel_initializer": kernel, "dtype": precision}
        found = layers.Conv2D(filters, size, strides=strides, name=f"conv2d_{number}", **options)(inputs)
        found = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, dtype=precision, name=f"norm_{number}")(found)
        return layers.ReLU(dtype=precision, name=f"relu_{number}")(found)

    found = convolution(images, 1, 32, size=5, strides=2, padding="valid")
    found = convolution(found, 2, filters, strides=2)
    found = convolution(found, 3, filters)
    found = layers.Add(dtype=precision, name="residual")([found, convolution(found, 4, filters)])
    return layers.Flatten(dtype=precision, name="flatten")(found)


ARCHITECTURES = {"codelab": codelab, "convnet": convnet, "dense": dense, "compact": compact}


def _kernels(seed: int, mode: str) -> Iterator[Any]:
    """Initializers of a network's kernels, one after the other: TensorFlow.js' VarianceScaling, each with its seed."""
    scaling = load_keras().initializers.VarianceScaling
    for layer in count():
        yield scaling(TFJS_SCALE, mode=mode, distribution="truncated_normal", seed=derived_seed(seed, layer))


def _probabilities(kernel_initializer: Any) -> Any:
    return load_keras().layers.Dense(
        CLASSES, activation="softmax", kernel_initializer=kernel_initializer, dtype="float32", name=OUTPUT_LAYER
    )


def _sequential(name: str, *layers: Any) -> Any:
    keras = load_keras()
    return keras.Sequential([keras.Input(INPUT_SHAPE, name="images"), *layers], name=name)
