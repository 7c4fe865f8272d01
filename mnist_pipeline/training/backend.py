"""Keras, imported once, without the messages of its libraries on the user's terminal."""

import os
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.abc import MetaPathFinder
from typing import Any

from mnist_pipeline.errors import MissingExtraError
from mnist_pipeline.stderr import quiet_stderr

UNUSED = frozenset({"jax", "matplotlib", "sklearn"})
"""What TensorFlow and Keras import where it is installed, for parts of them that nothing here uses. That would be more
than a third of the time of the whole import."""


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
        with quiet_stderr(), _without(UNUSED - {os.environ["KERAS_BACKEND"]}):
            import keras
    except ImportError as error:
        raise MissingExtraError(f"training with KERAS_BACKEND={os.environ['KERAS_BACKEND']}", "train") from error
    # A user's ~/.keras/keras.json must not change what a preset means.
    keras.config.set_floatx("float32")
    keras.config.set_image_data_format("channels_last")
    return keras, time.perf_counter() - started


class _Absent(MetaPathFinder):
    """Tells one thread that some packages are not installed; no other thread."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names
        self._thread = threading.get_ident()

    def find_spec(self, fullname: str, *_: object) -> None:
        if fullname in self._names and threading.get_ident() == self._thread:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


@contextmanager
def _without(names: frozenset[str]) -> Iterator[None]:
    """Import as if these packages were not installed; what has been imported already, or is later, is as it is."""
    absent = _Absent(names)
    sys.meta_path.insert(0, absent)
    try:
        yield
    finally:
        sys.meta_path.remove(absent)


@contextmanager
def ignore_array_copy_warning() -> Iterator[None]:
    """Silence what NumPy 2 says of TensorFlow 2.21 when Keras saves a model; values are not affected."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "__array__ implementation doesn't accept a copy keyword", DeprecationWarning)
        yield
