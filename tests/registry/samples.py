"""Small, real models and what a publisher says of them; no TensorFlow anywhere."""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mnist_pipeline.registry import Facts, GateSummary, Lineage, Metrics, PublishedVersion, Registry

CLASS_NAMES = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")


def model_bytes(seed: int) -> bytes:
    """A linear classifier with random weights: uint8 [N, 28, 28] -> float32 probabilities [N, 10]."""
    weights = np.random.default_rng(seed).normal(size=(784, 10)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["images"], ["ink"], to=TensorProto.FLOAT),
            helper.make_node("Reshape", ["ink", "shape"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["sums"]),
            helper.make_node("Mul", ["sums", "scale"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ],
        "linear",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", 28, 28])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 10])],
        [
            numpy_helper.from_array(np.array([-1, 784], np.int64), "shape"),
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(np.array(1 / 2550, np.float32), "scale"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    metadata = {
        "class_names": json.dumps(CLASS_NAMES),
        "dataset": "mnist",
        "dataset_digest": "d" * 64,
        "run_id": f"run-{seed}",
        "preset": "codelab",
        "frameworks": json.dumps({"onnx": onnx.__version__}),
    }
    helper.set_model_props(model, metadata)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


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
