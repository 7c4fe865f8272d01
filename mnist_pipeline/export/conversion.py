"""Everything that touches Keras, TensorFlow and tf2onnx: load a model, run it, convert it.

All of it runs on the CPU, where float32 means float32: on a GPU, TensorFlow would round the factors to TF32.
"""

import textwrap
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline import CLASSES, SIDE
from mnist_pipeline.data.dataset import to_model_input
from mnist_pipeline.errors import ExportError, IntegrityError
from mnist_pipeline.export.backend import load_tensorflow, load_tf2onnx, quiet_python
from mnist_pipeline.inference.contract import INPUT, NOVELTY, PROBABILITIES
from mnist_pipeline.keras_backend import load_keras

if TYPE_CHECKING:
    from onnx import ModelProto

CPU = "/CPU:0"
KERAS_INPUT = (None, SIDE, SIDE, 1)
"""float32 in [0, 1], 0 = background."""
KERAS_OUTPUT = (None, CLASSES)
"""float32 probabilities."""
NOVELTY_OUTPUT = (None, CLASSES + 1)
"""float32 logits: the classes, and none of them."""
MOST_LOGIT = 30.0
"""Logits of the second network are kept within this, so that their exponentials are finite in float32."""
LEAST_ODDS = 1e-30
STEEP = 1e6
"""Classes whose probabilities differ by less than its inverse are equally probable."""
ROWS_PER_CALL = 500


def load_keras_model(path: Path, output: tuple[int | None, ...] = KERAS_OUTPUT) -> Any:
    """The Keras model in a ``.keras`` archive; code in it is never run (``safe_mode``).

    Args:
        path: the archive.
        output: the shape that the model must give.

    Raises:
        IntegrityError: the file is no ``.keras`` archive (HDF5 files included: they can run code), or
            Keras refuses it.
        ExportError: the model's input or output is not what every architecture here has.
    """
    tf, keras = load_tensorflow(), load_keras()
    if path.suffix != ".keras" or not zipfile.is_zipfile(path):
        raise IntegrityError(f"{path} is not a .keras archive; other formats, .h5 among them, are never loaded")
    try:
        with quiet_python(), tf.device(CPU):
            model = keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        raise IntegrityError(f"{path} is refused: {_one_line(error)}") from error
    for what, found, expected in (("takes", model.input_shape, KERAS_INPUT), ("gives", model.output_shape, output)):
        if found != expected:
            raise ExportError(f"the Keras model {what} arrays of shape {found}, expected {expected}")
    return model


class NetworkAnswers(NamedTuple):
    """What the networks say of n images: probabilities, float32 [n, 10], and novelty, float32 [n]."""

    probabilities: NDArray[np.float32]
    novelty: NDArray[np.float32]


def predict(classifier: Any, novelty: Any, images: NDArray[np.uint8]) -> NetworkAnswers:
    """What the Keras models say of uint8 images [n, 28, 28]."""
    parts = [to_model_input(images[start : start + ROWS_PER_CALL]) for start in range(0, len(images), ROWS_PER_CALL)]
    with quiet_python(), load_tensorflow().device(CPU):
        answers = [[np.asarray(one) for one in _answer(classifier, novelty, part)] for part in parts]
    return NetworkAnswers(*(np.concatenate(one) for one in zip(*answers, strict=True)))


def _answer(classifier: Any, novelty: Any, pixels: Any) -> tuple[Any, Any]:
    """Probabilities of the classifier; and the log-odds that an image is not the class that it finds most probable.

    The second network's odds of each class are weighted by how probable the first finds it. So two networks that name
    different classes count as strange, and so does an image that may as well be another class.
    """
    tf = load_tensorflow()
    probabilities = classifier(pixels, training=False)
    logits = tf.clip_by_value(novelty(pixels, training=False), -MOST_LOGIT, MOST_LOGIT)
    classes, none = tf.split(tf.exp(logits), [CLASSES, 1], axis=1)
    odds = classes * probabilities
    below = tf.reduce_max(probabilities, axis=1, keepdims=True) - probabilities
    named = tf.clip_by_value(1.0 - below * STEEP, 0.0, 1.0)  # 1 for the most probable class, 0 for the others
    against = tf.reduce_sum(odds * (1.0 - named), axis=1, keepdims=True) + none
    known = tf.reduce_sum(odds * named, axis=1, keepdims=True)
    return probabilities, tf.reshape(tf.math.log(against) - tf.math.log(known + LEAST_ODDS), [-1])


def convert(classifier: Any, novelty: Any, opset: int) -> "ModelProto":
    """Both networks as tf2onnx writes them, with the contract's input, outputs and scaling.

    Names, order and leftovers in it vary from call to call: `canonical` settles them.

    Raises:
        ExportError: tf2onnx cannot express the model.
    """
    tf, tf2onnx = load_tensorflow(), load_tf2onnx()
    signature = [tf.TensorSpec([None, SIDE, SIDE], tf.uint8, name=INPUT)]

    def classify(images: Any) -> dict[str, Any]:
        pixels = tf.reshape(tf.cast(images, tf.float32) / 255.0, [-1, SIDE, SIDE, 1])
        return dict(zip((PROBABILITIES, NOVELTY), _answer(classifier, novelty, pixels), strict=True))

    try:
        with quiet_python(), tf.device(CPU):
            function = tf.function(classify, input_signature=signature, autograph=False)
            converted, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=opset)
    except Exception as error:
        raise ExportError(f"tf2onnx cannot convert the model: {_one_line(error)}") from error
    result: ModelProto = converted
    _require_known_operators(result)
    return result


def _require_known_operators(model: "ModelProto") -> None:
    """tf2onnx logs what it cannot express, and leaves TensorFlow's operator in the graph."""
    from onnx import defs

    unknown = sorted({node.op_type for node in model.graph.node if not defs.has(node.op_type, node.domain)})
    if unknown:
        raise ExportError(f"tf2onnx cannot express {', '.join(unknown)} in ONNX; replace the layers that need it")


def _one_line(error: Exception) -> str:
    """What went wrong, without the dump of the whole configuration that Keras puts around it."""
    text = " ".join(str(error).rsplit("Exception encountered: ", 1)[-1].split())
    return textwrap.shorten(text, 300) or type(error).__name__
