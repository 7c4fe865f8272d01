"""onnxruntime sessions: on CUDA where it works and runs every node of a model, else on the CPU.

Whether it works is found out without the error lines that onnxruntime's C++ code prints.
"""

import contextlib
import ctypes
import io
import logging
import sys
from functools import cache
from typing import Any

import numpy as np

from mnist_pipeline import SIDE, Device
from mnist_pipeline.errors import DeviceError, IntegrityError
from mnist_pipeline.inference.contract import INPUT

logger = logging.getLogger(__name__)

CUDA = "CUDAExecutionProvider"
DRIVER = {"linux": "libcuda.so.1", "win32": "nvcuda.dll"}
PROBE = '<ir_version: 8, opset_import: ["" : 17]> probe (float[1] x) => (float[1] y) { y = Relu(x) }'
FATAL = 4
CPU = "CPUExecutionProvider"
# TF32 keeps 10 bits of each factor: too few for probabilities that agree with the CPU's to 1e-5.
# Memory is taken as it is needed, not in powers of two: other processes may compute on the same GPU.
CUDA_OPTIONS = {
    "use_tf32": "0",
    "cudnn_conv_algo_search": "HEURISTIC",
    "arena_extend_strategy": "kSameAsRequested",
}


def open_session(data: bytes, *, device: Device, threads: int | None, spinning: bool) -> Any:
    """A session of a checked model; arguments and errors as `classifier.Classifier.load`."""
    problem = None if device == "cpu" else gpu_problem()
    if device != "cpu" and problem is None:
        session, problem = _open_on_cuda(data, threads, spinning)
        if problem is None:
            return session
    if device == "gpu":
        raise DeviceError(f"device gpu: onnxruntime cannot use CUDA here: {problem}; use device auto or cpu")
    if problem is not None:
        logger.info("classifying on the CPU: %s", problem)
    return _create_session(data, [CPU], threads, spinning)


def _open_on_cuda(data: bytes, threads: int | None, spinning: bool) -> tuple[Any, str | None]:
    """A session that asked for CUDA, and why it must not be used; None where every node runs on CUDA."""
    try:
        session = _create_session(data, [(CUDA, CUDA_OPTIONS), CPU], threads, spinning)
    except IntegrityError as error:
        return None, str(error)
    if CUDA not in session.get_providers():
        return None, "the CUDA provider did not load"
    elsewhere = [part for part in session.get_provider_graph_assignment_info() if part.ep_name != CUDA]
    operators = sorted({node.op_type for part in elsewhere for node in part.get_nodes()})
    return session, f"it leaves the operators {', '.join(operators)} to the CPU" if operators else None


def _create_session(data: bytes, providers: list[Any], threads: int | None, spinning: bool) -> Any:
    onnxruntime = load_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = FATAL
    options.intra_op_num_threads = threads or 0
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spinning else "0")
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    try:
        session = onnxruntime.InferenceSession(data, options, providers=providers)
        # Some faults show only when the model runs: a GPU for which a library holds no code, for one.
        session.run(None, {INPUT: np.zeros((1, SIDE, SIDE), np.uint8)})
    except Exception as error:
        raise IntegrityError(f"onnxruntime does not run the model: {str(error).splitlines()[0]}") from error
    return session


@cache
def gpu_problem() -> str | None:
    """Why onnxruntime cannot use CUDA on this machine; None where it can.

    Tries the driver, a device, and a model of one node, in this order. Whether a given model runs on
    CUDA in all its nodes only its session knows: `Classifier.provider`.
    """
    ort = load_onnxruntime()
    if CUDA not in ort.get_available_providers():
        return f"this onnxruntime {ort.__version__} was built without CUDA"
    return _driver_problem() or _provider_problem(ort)


def load_onnxruntime() -> Any:
    """The ``onnxruntime`` module, silent: what goes wrong is raised, and its C++ code would print it as well."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(FATAL)
    return onnxruntime


def _driver_problem() -> str | None:
    try:
        driver = ctypes.CDLL(DRIVER[sys.platform])
    except (OSError, KeyError):
        return "no NVIDIA driver is installed"
    if status := driver.cuInit(0):
        return f"the NVIDIA driver finds no usable GPU (cuInit: error {status})"
    count = ctypes.c_int()
    if driver.cuDeviceGetCount(ctypes.byref(count)) or count.value == 0:
        return "the NVIDIA driver finds no GPU"
    return None


def _provider_problem(ort: Any) -> str | None:
    from onnx import parser

    printed = io.StringIO()
    # Loads the libraries of the nvidia-* wheels, which lie on no search path, and prints those that it misses.
    with contextlib.redirect_stdout(printed):
        ort.preload_dlls()
    missing = next((line for line in printed.getvalue().splitlines() if line.startswith("Failed to load")), None)
    try:
        model = parser.parse_model(PROBE).SerializeToString()
        session = ort.InferenceSession(model, providers=[CUDA])
        if CUDA not in session.get_providers():
            return f"its CUDA provider does not load ({missing or 'no library is named'}); install the 'gpu' extra"
        session.run(None, {"x": np.ones(1, np.float32)})
    except Exception as error:  # onnxruntime has a class of its own for every status code
        return f"its CUDA provider does not work ({str(error).splitlines()[0]})"
    return None
