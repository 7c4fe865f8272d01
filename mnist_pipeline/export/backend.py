"""TensorFlow and tf2onnx, imported without their messages on the user's terminal."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mnist_pipeline.errors import ExportError, MissingExtraError
from mnist_pipeline.keras_backend import load_keras
from mnist_pipeline.stderr import quiet_stderr

logger = logging.getLogger(__name__)


def load_tensorflow() -> Any:
    """The ``tensorflow`` module, on which Keras runs.

    Raises:
        MissingExtraError: it is not installed.
        ExportError: this process uses Keras with another backend, which tf2onnx cannot follow.
    """
    try:
        keras = load_keras()
        import tensorflow as tf
    except (ImportError, MissingExtraError) as error:
        raise MissingExtraError("export", "train") from error
    if (found := keras.backend.backend()) != "tensorflow":
        raise ExportError(f"Keras runs on {found} here, export needs tensorflow: run it with KERAS_BACKEND=tensorflow")
    with quiet_stderr():
        tf.config.list_physical_devices()  # where there is no driver, the first look at the devices complains
    return tf


def load_tf2onnx() -> Any:
    """The ``tf2onnx`` module.

    Raises:
        MissingExtraError, ExportError: as `load_tensorflow`.
    """
    load_tensorflow()
    try:
        with quiet_python():
            import tf2onnx
    except ImportError as error:
        raise MissingExtraError("export", "train") from error
    return tf2onnx


def framework_versions() -> dict[str, str]:
    """Module -> version, of those that turn a trained model into ONNX."""
    import onnx

    modules = (load_tensorflow(), load_keras(), load_tf2onnx(), onnx)
    return {module.__name__: module.__version__ for module in modules}


@contextmanager
def quiet_python() -> Iterator[None]:
    """No Python warnings, and messages of tf2onnx and TensorFlow at debug level only, inside the block."""
    loggers = [logging.getLogger(name) for name in ("tf2onnx", "tensorflow")]
    handler, before = _ToDebug(), [(each.propagate, each.handlers[:]) for each in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for each in loggers:
            each.propagate, each.handlers = False, [handler]
        try:
            yield
        finally:
            for each, (propagate, handlers) in zip(loggers, before, strict=True):
                each.propagate, each.handlers = propagate, handlers


class _ToDebug(logging.Handler):
    """Passes a library's messages on as debug messages of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        logger.debug("%s: %s", record.name, record.getMessage())
