"""Keras, imported once, without the messages of its libraries on the user's terminal."""

import os
import sys
import threading
import time
from collections.abc import Sequence
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from typing import Any

from mnist_pipeline.errors import MissingExtraError
from mnist_pipeline.stderr import quiet_stderr

ABSENT = frozenset({"jax", "matplotlib"})
"""What TensorFlow and Keras import where it is installed, for parts of them that nothing here uses."""
LATER = frozenset({"keras.wrappers"})
"""What is loaded when it is first used: it imports scikit-learn, which with `ABSENT` would be more than a third of the
time of the whole import."""


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
    backend = os.environ["KERAS_BACKEND"]
    finder = _Reluctant(ABSENT - {backend})
    sys.meta_path.insert(0, finder)
    try:
        with quiet_stderr():
            import keras
    except ImportError as error:
        raise MissingExtraError(f"training with KERAS_BACKEND={backend}", "train") from error
    finally:
        sys.meta_path.remove(finder)
    # A user's ~/.keras/keras.json must not change what a preset means.
    keras.config.set_floatx("float32")
    keras.config.set_image_data_format("channels_last")
    return keras, time.perf_counter() - started


class _Reluctant(MetaPathFinder):
    """Tells one thread, and no other, that some packages are not installed; loads those of `LATER` when they are used.

    What has been imported before is as it is.
    """

    def __init__(self, absent: frozenset[str]) -> None:
        self._absent = absent
        self._thread = threading.get_ident()

    def find_spec(self, fullname: str, path: Sequence[str] | None, *_: object) -> ModuleSpec | None:
        if fullname in self._absent and threading.get_ident() == self._thread:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        spec = PathFinder.find_spec(fullname, path) if fullname in LATER else None
        if spec and spec.loader:
            spec.loader = LazyLoader(spec.loader)
        return spec
