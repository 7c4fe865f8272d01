"""Whether onnxruntime can use CUDA here, found out without the error lines that its C++ code prints."""

import contextlib
import ctypes
import io
import sys
from functools import cache
from typing import Any

import numpy as np

CUDA = "CUDAExecutionProvider"
DRIVER = {"linux": "libcuda.so.1", "win32": "nvcuda.dll"}
PROBE = '<ir_version: 8, opset_import: ["" : 17]> probe (float[1] x) => (float[1] y) { y = Relu(x) }'
FATAL = 4


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
