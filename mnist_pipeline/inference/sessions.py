"""onnxruntime sessions: on CUDA where it runs every node of a model, else on the CPU."""

import logging
from typing import Any

import numpy as np

from mnist_pipeline import SIDE, Device
from mnist_pipeline.errors import DeviceError, IntegrityError
from mnist_pipeline.inference.contract import INPUT
from mnist_pipeline.inference.cuda import CUDA, FATAL, gpu_problem, load_onnxruntime

logger = logging.getLogger(__name__)

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
