"""The networks: float32 [N, 28, 28, 1] in [0, 1] -> float32 probabilities [N, 10]."""

from typing import Any

from mnist_pipeline.training.backend import load_keras
from mnist_pipeline.training.plan import derived_seed

# Standard deviation of a standard normal variable that is cut off at two standard deviations. Keras divides by it, so
# that the weights have the variance asked for; TensorFlow.js, which the codelab uses, does not (tfjs-layers,
# src/initializers.ts). This scale takes Keras' correction out again.
TRUNCATED_SD = 0.87962566103423978
TFJS_SCALE = TRUNCATED_SD**2


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
    keras = load_keras()
    layers = keras.layers

    def initializer(layer: int) -> Any:
        # tf.js: mode fanIn, distribution normal (truncated), standard deviation sqrt(1 / fan_in).
        return keras.initializers.VarianceScaling(
            scale=TFJS_SCALE, mode="fan_in", distribution="truncated_normal", seed=derived_seed(seed, layer)
        )

    return keras.Sequential(
        [
            keras.Input((28, 28, 1), name="images"),
            layers.Conv2D(8, 5, activation="relu", kernel_initializer=initializer(0), dtype=precision, name="conv2d_1"),
            layers.MaxPooling2D(2, strides=2, dtype=precision, name="max_pooling2d_1"),
            layers.Conv2D(
                16, 5, activation="relu", kernel_initializer=initializer(1), dtype=precision, name="conv2d_2"
            ),
            layers.MaxPooling2D(2, strides=2, dtype=precision, name="max_pooling2d_2"),
            layers.Flatten(dtype=precision, name="flatten"),
            layers.Dense(
                10, activation="softmax", kernel_initializer=initializer(2), dtype="float32", name="probabilities"
            ),
        ],
        name="codelab",
    )


ARCHITECTURES = {"codelab": codelab}
