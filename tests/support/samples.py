"""Small, real models and what a publisher says of them; no TensorFlow anywhere."""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx

from mnist_pipeline.inference import ModelMetadata
from mnist_pipeline.registry import Facts, GateSummary, Lineage, Metrics, PublishedVersion, Registry
from tests.support.linear_models import onnx_bytes

CLASS_NAMES = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")


def model_bytes(seed: int) -> bytes:
    """A linear classifier with random weights: uint8 [N, 28, 28] -> float32 probabilities [N, 10]."""
    weights = np.random.default_rng(seed).normal(scale=0.1, size=(784, 10)).astype(np.float32)
    metadata = ModelMetadata(
        class_names=CLASS_NAMES,
        dataset="mnist",
        dataset_digest="d" * 64,
        run_id=f"run-{seed}",
        preset="codelab",
        frameworks={"onnx": onnx.__version__},
    )
    return onnx_bytes(weights, metadata)


def content_version(seed: int) -> str:
    """The version that `model_bytes` of this seed must get."""
    return sha256(model_bytes(seed)).hexdigest()[:12]


def write_model(folder: Path, seed: int) -> Path:
    path = folder / f"candidate-{seed}.onnx"
    if not path.exists():
        path.write_bytes(model_bytes(seed))
    return path


def facts(
    seed: int = 0,
    *,
    accuracy: float = 0.98,
    parent: str | None = None,
    refused: tuple[str, ...] = (),
    dataset: str = "mnist",
) -> Facts:
    return Facts(
        lineage=Lineage(
            dataset=dataset,
            dataset_digest="d" * 64,
            config_digest="c" * 64,
            code_version="0.1.0",
            code_digest="e" * 64,
            frameworks={"onnx": onnx.__version__},
            run=f"run-{seed}",
            preset="codelab",
            seed=seed,
            parent=parent,
        ),
        metrics=Metrics(accuracy=accuracy, samples=10_000, provider="CPUExecutionProvider"),
        gate=GateSummary(promoted=not refused, reasons=list(refused)),
    )


def evaluation(seed: int = 0) -> str:
    return json.dumps({"accuracy": 0.98, "samples": 10_000, "seed": seed, "class_names": CLASS_NAMES})


def publish(
    registry: Registry, model: str, folder: Path, seed: int, dataset: str = "mnist", **kwargs: object
) -> PublishedVersion:
    with registry.stage(model, write_model(folder, seed)) as stage:
        stage.add("evaluation.json", evaluation(seed))
        stage.add("report.html", f"<p>{seed}</p>")
        return registry.commit(stage, facts(seed, dataset=dataset), **kwargs)  # type: ignore[arg-type]
