"""Keras, imported once, without the chatter of its libraries on the user's terminal."""

import logging
import os
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from mnist_pipeline.errors import MissingExtraError

logger = logging.getLogger(__name__)

# What TensorFlow, XLA and absl write while they are loaded, before a log level can reach them.
CHATTER = re.compile(
    rb"^(WARNING: All log messages before absl|[IW]\d{4} |\d{4}-\d\d-\d\d \S+ [IW] |To enable the following)"
)


def load_keras() -> Any:
    """The ``keras`` module, with the backend that ``KERAS_BACKEND`` names (tensorflow where it names none).

    Raises:
        MissingExtraError: Keras or its backend is not installed.
    """
    return _load()[0]


def import_seconds() -> float:
    """How long this process waited for Keras and its backend."""
    return _load()[1]


@cache
def _load() -> tuple[Any, float]:
    started = time.perf_counter()
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # jax: grow, as TensorFlow is told to
    try:
        with quiet_import():
            import keras
    except ImportError as error:
        raise MissingExtraError(f"training with KERAS_BACKEND={os.environ['KERAS_BACKEND']}", "train") from error
    # A user's ~/.keras/keras.json must not change what a preset means.
    keras.config.set_floatx("float32")
    keras.config.set_image_data_format("channels_last")
    return keras, time.perf_counter() - started


@contextmanager
def ignore_array_copy_warning() -> Iterator[None]:
    """Silence what NumPy 2 says of TensorFlow 2.21 when Keras saves a model; values are not affected."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "__array__ implementation doesn't accept a copy keyword", DeprecationWarning)
        yield


@contextmanager
def quiet_import() -> Iterator[None]:
    """Hold back what native code writes to stderr inside the block; pass on all that is no known chatter."""
    sys.stderr.flush()
    terminal = os.dup(2)
    try:
        with tempfile.TemporaryFile() as held:
            os.dup2(held.fileno(), 2)
            try:
                yield
            finally:
                sys.stderr.flush()
                os.dup2(terminal, 2)
                held.seek(0)
                _pass_on(held.read().splitlines(keepends=True))
    finally:
        os.close(terminal)


def _pass_on(lines: list[bytes]) -> None:
    for line in lines:
        if CHATTER.match(line):
            logger.debug("%s", line.decode(errors="replace").rstrip())
        else:
            os.write(2, line)
