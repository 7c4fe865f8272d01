"""What works on this machine and what does not: every check tries the thing itself."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from mnist_pipeline.config import FetchConfig, PipelineConfig
from mnist_pipeline.data.description import DatasetDescription, load_description
from mnist_pipeline.data.locations import show_source
from mnist_pipeline.data.sources import unreachable
from mnist_pipeline.errors import DeviceError, PipelineError, UsageError
from mnist_pipeline.export.backend import load_tf2onnx
from mnist_pipeline.files.writing import check_writable, refusal
from mnist_pipeline.inference import gpu_problem
from mnist_pipeline.registry.signing import load_private_key
from mnist_pipeline.runs.fingerprint import installed_version
from mnist_pipeline.schema import Record
from mnist_pipeline.training.devices import require_device
from mnist_pipeline.workspace import Workspace

PACKAGES = {
    "numpy": None,
    "opencv-python-headless": None,
    "pillow": None,
    "onnx": None,
    "onnxruntime-gpu": None,
    "onnxruntime": None,
    "tensorflow": "train",
    "keras": "train",
    "tf2onnx": "train",
    "prefect": "flows",
}
"""Package -> the extra without which run-all could not run; one of the two onnxruntimes is always there."""


class Diagnosis(Record):
    """One thing that was tried."""

    name: str
    state: Literal["ok", "note", "broken"]
    """A note does not stop the main job; what is broken does."""
    detail: str


def diagnose(config: FetchConfig, workspace: Workspace) -> Iterator[Diagnosis]:
    """Try, one after the other, everything that ``run-all`` needs, but the Prefect server.

    Raises:
        UsageError: there is no such dataset; before anything is tried.
    """
    description = load_description(config.dataset)
    yield Diagnosis(name="python", state="ok", detail=sys.version.split()[0])
    yield from (_package(*one) for one in PACKAGES.items())
    yield tried("tensorflow devices", lambda: f"{require_device('auto')} (training takes this one)")
    yield tried("onnx export", lambda: f"{load_tf2onnx().__name__} loads")
    yield tried("onnxruntime", _onnxruntime_provider)
    yield _data_source(description, config)
    yield tried("workspace", lambda: _writable(workspace.root))


def _package(name: str, extra: str | None) -> Diagnosis:
    version = installed_version(name)
    if version != "absent":
        return Diagnosis(name=name, state="ok", detail=version)
    if extra is None:
        return Diagnosis(name=name, state="note", detail="absent")
    return Diagnosis(name=name, state="broken", detail=f"absent; pip install 'mnist-pipeline[{extra}]'")


def tried(name: str, attempt: Callable[[], str]) -> Diagnosis:
    """What the attempt says, or why it failed."""
    try:
        return Diagnosis(name=name, state="ok", detail=attempt())
    except (PipelineError, OSError, ImportError) as error:
        return Diagnosis(name=name, state="broken", detail=str(error))


def _onnxruntime_provider() -> str:
    import onnxruntime

    offered = ", ".join(onnxruntime.get_available_providers())
    problem = gpu_problem()
    return f"CUDA does not load: {problem}; the CPU works" if problem else f"CUDA loads; offered: {offered}"


def _data_source(description: DatasetDescription, config: FetchConfig) -> Diagnosis:
    problem = unreachable(description, config)
    if problem is None:
        where = show_source(config.source) if config.source else "the official one"
        return Diagnosis(name="data source", state="ok", detail=where)
    if not config.fall_back_to_digits:
        return Diagnosis(name="data source", state="broken", detail=problem)
    detail = f"{problem}; run-all would fall back to the embedded digits"
    return Diagnosis(name="data source", state="note", detail=detail)


def _writable(root: Path) -> str:
    """Try what would be the first write: a workspace that is not there yet is not made for it."""
    there = next(folder for folder in (root, *root.parents) if folder.exists())
    try:
        check_writable(there)
    except OSError as error:
        raise refusal(error, root) from error
    return str(root)


def check_first(config: PipelineConfig) -> None:
    """Before any work: the devices that are asked for by name, the signing key and the extra images can be used.

    Raises:
        DeviceError: a device does not work here.
        UsageError: the key cannot be used, or there is no folder of extra images.
    """
    if (extra := config.fetch.extra_images) and not extra.is_dir():
        raise UsageError(f"--extra-images {extra}: there is no such folder")
    if config.training.device == "gpu":
        require_device("gpu")
    if config.evaluation.device == "gpu" and (problem := gpu_problem()):
        raise DeviceError(f"--device gpu: onnxruntime cannot use CUDA here: {problem}; use --device auto or cpu")
    if config.publishing.sign_key:
        load_private_key(config.publishing.sign_key)
