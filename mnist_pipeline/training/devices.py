"""Where to train: found out and tried before any work."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mnist_pipeline import Device, UsedDevice
from mnist_pipeline.errors import DeviceError, UsageError
from mnist_pipeline.keras_backend import load_keras
from mnist_pipeline.stderr import quiet_stderr

logger = logging.getLogger(__name__)


def require_device(device: Device) -> UsedDevice:
    """The device that a training asked to run on ``device`` takes, tried with a small computation.

    Raises:
        DeviceError: ``gpu`` was asked for, and none works.
        MissingExtraError: Keras is not installed.
    """
    if device == "cpu":
        return "cpu"
    problem = _gpu_problem()
    if problem is None:
        logger.info("training on the GPU")
        return "gpu"
    if device == "gpu":
        raise DeviceError(f"device gpu: {problem}; use --device cpu, or install the 'gpu' extra and a driver")
    logger.info("training on the CPU: %s", problem)
    return "cpu"


@contextmanager
def training_scope(device: UsedDevice, strategy: str) -> Iterator[int]:
    """Variables and computations of the block live on ``device``; on all of its kind where the strategy is mirrored.

    Yields the number of devices.

    Raises:
        UsageError: the strategy is mirrored and the backend is not TensorFlow.
    """
    keras = load_keras()
    if strategy == "single":
        with keras.device(f"{device}:0"):
            yield 1
        return
    if keras.backend.backend() != "tensorflow":
        raise UsageError(f"strategy mirrored needs KERAS_BACKEND=tensorflow, found {keras.backend.backend()}")
    import tensorflow as tf

    names = [found.name for found in tf.config.list_logical_devices(device.upper())]
    logger.info("training on %d devices: %s", len(names), ", ".join(names))
    with tf.distribute.MirroredStrategy(names).scope():
        yield len(names)


def _gpu_problem() -> str | None:
    """Why no GPU can be used; None where one computes what it should."""
    keras = load_keras()
    try:
        with quiet_stderr():
            if not _gpus(keras):
                return f"{keras.backend.backend()} finds no GPU"
            with keras.device("gpu:0"):
                found = float(keras.ops.sum(keras.ops.matmul(keras.ops.ones((8, 8)), keras.ops.ones((8, 8)))))
    except Exception as error:  # every backend has its own errors; each means: not usable
        return f"the GPU does not work ({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''})"
    return None if found == 512 else f"the GPU computes nonsense (sum {found:g}, expected 512)"


def _gpus(keras: Any) -> list[str]:
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        physical = tf.config.list_physical_devices("GPU")
        for gpu in physical:
            # The whole card would be taken otherwise. Must be said before the first computation.
            tf.config.experimental.set_memory_growth(gpu, True)
        return [gpu.name for gpu in physical]
    return list(keras.distribution.list_devices("gpu"))
