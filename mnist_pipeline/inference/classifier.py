"""A published or exported model, ready to classify images."""

import logging
import os
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline import CLASSES, SIDE, Device, UsedDevice
from mnist_pipeline.errors import DeviceError, IntegrityError, UsageError
from mnist_pipeline.files import sha256_bytes
from mnist_pipeline.inference.contract import INPUT, NOVELTY, PROBABILITIES, ModelMetadata
from mnist_pipeline.inference.safety import MAX_BATCH, MAX_BYTES, check_model_is_safe, parse_model
from mnist_pipeline.inference.sessions import CUDA, open_session

if TYPE_CHECKING:
    from onnx import ModelProto

logger = logging.getLogger(__name__)

GPU_BATCH = 1_024
"""Images that a GPU is given at once, at most: enough to fill it, and what their layers say of them (about 200 MB for
64 planes of float32 each) leaves room for other processes."""
ROWS = 4
"""onnxruntime computes functions such as a logarithm for four values at once. What is left over at the end of a batch
is computed by itself and rounds otherwise: measured on x86-64, in one of five novelties, in the last bits."""
OUT_OF_MEMORY = ("failed to allocate memory", "bad_alloc", "out of memory", "alloc_failed", "bad allocation")


class Answers(NamedTuple):
    """What the model says of N images.

    Attributes:
        probabilities: float32 [N, 10].
        novelty: float32 [N], the log-odds that an image is none of the classes; None where the model does not say.
    """

    probabilities: NDArray[np.float32]
    novelty: NDArray[np.float32] | None


class Classifier:
    """An ONNX model in memory. Calls from several threads at once are allowed.

    onnxruntime runs every node of a graph whatever outputs are asked for. So the part that leads to the
    probabilities is a session of its own, and the whole graph is loaded when novelty is asked for.

    Attributes:
        sha256: hex SHA-256 of the bytes that were loaded.
        metadata: what the model file says of itself.
        provider: the onnxruntime provider that runs every node.
        device: "gpu" where that is CUDA, else "cpu".
        has_novelty: the model says how likely an image is none of the classes.
    """

    def __init__(self, model: "ModelProto", sha256: str, open_session: "Callable[[bytes], Any]") -> None:
        """Take over a checked model; `load` makes one."""
        self._model, self._open = model, open_session
        self.has_novelty = any(output.name == NOVELTY for output in model.graph.output)
        self._session = open_session((_probabilities_only(model) if self.has_novelty else model).SerializeToString())
        self._whole: Any = None if self.has_novelty else self._session
        self.sha256 = sha256
        self.metadata = _read_metadata(model)
        self.provider: str = self._session.get_providers()[0]
        self.device: UsedDevice = "gpu" if self.provider == CUDA else "cpu"

    @classmethod
    def load(
        cls,
        model: Path | bytes,
        *,
        sha256: str | None = None,
        device: Device = "auto",
        threads: int | None = None,
        spinning: bool = True,
    ) -> Self:
        """Load a model that `check_model_is_safe` accepts.

        The file is read once; what is hashed and checked are the very bytes that are loaded.

        Args:
            model: path or bytes of the ONNX file.
            sha256: hex digest that the bytes must have; None means any.
            device: "gpu" insists on CUDA, "auto" takes it where every node runs on it, "cpu" never asks.
            threads: CPU threads per call; None means one per physical core.
            spinning: idle threads wait busily, which is fastest for one process that has the machine to
                itself; False gives the time to other processes.

        Raises:
            IntegrityError: the file is missing, has other bytes, or is not safe to load.
            DeviceError: ``gpu`` was asked for and CUDA does not run the model.
            UsageError: ``threads`` is less than 1.
        """
        if threads is not None and threads < 1:
            raise UsageError(f"threads must be at least 1, found {threads}")
        data = model if isinstance(model, bytes) else _read(model)
        where = "the model's bytes" if isinstance(model, bytes) else str(model)
        found = sha256_bytes(data)
        if sha256 is not None and found != sha256:
            raise IntegrityError(f"{where} has SHA-256 {found}, expected {sha256}; it was changed or is another model")
        try:
            check_model_is_safe(data)
            opener = partial(open_session, device=device, threads=threads, spinning=spinning)
            return cls(parse_model(data), found, opener)
        except IntegrityError as error:
            raise IntegrityError(f"{where}: {error}") from error

    def probabilities(self, images: NDArray[np.uint8], batch_size: int = 1_000) -> NDArray[np.float32]:
        """float32 [N, 10]: the probability of each class, for uint8 images [N, 28, 28] (0 = background, 255 = ink).

        Where a batch does not fit into memory, it is halved, and the smaller size is kept for the rest. How the
        images are cut into batches moves no probability by more than rounding (1e-6); on x86-64 CPUs it was
        measured to move none of them by a bit.

        Args:
            images: may be a memory-mapped array; one batch at a time is read.
            batch_size: images per call of onnxruntime, 1 to 65,536; on a GPU at most `GPU_BATCH` of them.

        Raises:
            UsageError: the images are of another type or shape, or the batch size is out of range.
            DeviceError: not even one image fits into memory.
            IntegrityError: onnxruntime gives up on the model.
        """
        return self._run(self._session, images, batch_size, [PROBABILITIES])[0]

    def answers(self, images: NDArray[np.uint8], batch_size: int = 1_000) -> Answers:
        """Probabilities and novelty; arguments and errors as `probabilities`, whose bits it gives.

        On x86-64 CPUs, how the images are cut into batches was measured to move no novelty by a bit either.
        """
        if not self.has_novelty:
            return Answers(self.probabilities(images, batch_size), None)
        if self._whole is None:
            self._whole = self._open(self._model.SerializeToString())
        return Answers(*self._run(self._whole, images, batch_size, [PROBABILITIES, NOVELTY]))

    def reserve(self) -> None:
        """On a GPU, take now what the largest batch will need, of the address space too; on the CPU do nothing.

        Raises:
            DeviceError: not even one image fits into memory.
        """
        if self.device == "gpu":
            nothing = np.zeros((GPU_BATCH, SIDE, SIDE), np.uint8)
            self.probabilities(nothing, GPU_BATCH)
            self.answers(nothing, GPU_BATCH)

    def _run(
        self, session: Any, images: NDArray[np.uint8], batch_size: int, outputs: list[str]
    ) -> list[NDArray[np.float32]]:
        _check_images(images)
        if not 1 <= batch_size <= MAX_BATCH:
            raise UsageError(f"batch_size must be from 1 to {MAX_BATCH:,}, found {batch_size}")
        shapes = {PROBABILITIES: (len(images), CLASSES), NOVELTY: (len(images),)}
        found = [np.empty(shapes[name], np.float32) for name in outputs]
        if self.device == "gpu":
            batch_size = min(batch_size, GPU_BATCH)
        done = 0
        while done < len(images):
            batch = np.ascontiguousarray(images[done : done + batch_size])
            size = len(batch)
            try:
                answers = session.run(outputs, {INPUT: _filled_up(batch) if NOVELTY in outputs else batch})
            except Exception as error:
                batch_size = _smaller_batch(size, self.device, error)
            else:
                for array, answer in zip(found, answers, strict=True):
                    array[done : done + size] = answer[:size]
                done += size
        return found


def _filled_up(batch: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The images, and blank ones up to a whole number of `ROWS`."""
    return np.pad(batch, ((0, -len(batch) % ROWS), (0, 0), (0, 0))) if len(batch) % ROWS else batch


def _probabilities_only(model: "ModelProto") -> "ModelProto":
    """The part of the graph that leads to the probabilities."""
    from onnx import ModelProto

    part = ModelProto()
    part.CopyFrom(model)
    graph = part.graph
    needed = {PROBABILITIES}
    kept = []
    for node in reversed(model.graph.node):  # in topological order: what makes an input stands before what reads it
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    for values, chosen in (
        (graph.node, kept[::-1]),
        (graph.initializer, [tensor for tensor in model.graph.initializer if tensor.name in needed]),
        (graph.output, [output for output in model.graph.output if output.name == PROBABILITIES]),
    ):
        del values[:]
        values.extend(chosen)
    return part


def _read(path: Path) -> bytes:
    """The file's bytes, at most `MAX_BYTES`; a pipe or a device is not waited for."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise IntegrityError(f"{path} is not a regular file")
            # One byte more than is accepted: the file may grow after its size was looked at.
            data = b"" if status.st_size > MAX_BYTES else file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise IntegrityError(f"{path} is missing; export or publish the model again") from None
    except OSError as error:
        raise IntegrityError(f"{path} cannot be read: {error.strerror}") from None
    if max(status.st_size, len(data)) > MAX_BYTES:
        raise IntegrityError(f"{path} has {status.st_size:,} bytes, at most {MAX_BYTES:,} are accepted")
    return data


def read_metadata(path: Path) -> ModelMetadata:
    """What a model file says of itself, without loading it.

    Raises:
        IntegrityError: it is missing, or no model of this package.
    """
    try:
        return _read_metadata(parse_model(_read(path)))
    except IntegrityError as error:
        raise IntegrityError(f"{path}: {error}") from error


def _read_metadata(model: "ModelProto") -> ModelMetadata:
    return ModelMetadata.from_props({entry.key: entry.value for entry in model.metadata_props})


def _check_images(images: NDArray[np.uint8]) -> None:
    found = f"{images.dtype} {list(images.shape)}" if isinstance(images, np.ndarray) else type(images).__name__
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.shape[1:] != (SIDE, SIDE):
        raise UsageError(f"images must be uint8 [N, {SIDE}, {SIDE}] (0 = background, 255 = ink), found {found}")


def _smaller_batch(size: int, device: str, error: Exception) -> int:
    """Half of ``size`` where ``error`` says that the memory was too small; else there is no use in going on."""
    if not any(sign in str(error).lower() for sign in OUT_OF_MEMORY):
        raise IntegrityError(f"onnxruntime does not run the model: {str(error).splitlines()[0]}") from error
    if size == 1:
        raise DeviceError(f"one image does not fit into the memory of the {device}; free some of it") from error
    logger.warning("a batch of %d images does not fit into the memory of the %s: going on with half", size, device)
    return size // 2
