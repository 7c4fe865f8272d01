"""Whether onnxruntime can use CUDA here, found out without the error lines that its C++ code prints."""

import contextlib
import ctypes
import io
import sys
from functools import cache
from pathlib import Path

CUDA = "CUDAExecutionProvider"
DRIVER = {"linux": "libcuda.so.1", "win32": "nvcuda.dll"}
PROVIDER_LIBRARIES = {
    "linux": ("libonnxruntime_providers_shared.so", "libonnxruntime_providers_cuda.so"),
    "win32": ("onnxruntime_providers_shared.dll", "onnxruntime_providers_cuda.dll"),
}


@cache
def gpu_problem() -> str | None:
    """Why onnxruntime cannot use CUDA on this machine; none where it can.

    Tries the driver, a device, and the libraries that the CUDA provider is linked against, in this
    order. Whether a given model really runs on CUDA only its session knows: `Classifier.provider`.
    """
    import onnxruntime

    if CUDA not in onnxruntime.get_available_providers():
        return f"this onnxruntime {onnxruntime.__version__} was built without CUDA"
    return _driver_problem() or _library_problem()


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


def _library_problem() -> str | None:
    import onnxruntime

    # Loads the libraries of the nvidia-* wheels, which lie on no search path; it prints what it misses.
    with contextlib.redirect_stdout(io.StringIO()):
        onnxruntime.preload_dlls()
    folder = Path(onnxruntime.__file__).parent / "capi"
    try:
        for name in PROVIDER_LIBRARIES[sys.platform]:
            ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        return f"a CUDA library does not load ({error}); install the 'gpu' extra"
    return None
