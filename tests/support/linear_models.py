"""Softmax regression in NumPy, as an ONNX model of the contract: it learns real digits in a second."""

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mnist_pipeline.data.dataset import Dataset
from mnist_pipeline.files import sha256_bytes, write_bytes, write_json
from mnist_pipeline.inference import AnswerLimits, ModelMetadata
from mnist_pipeline.runs.artifacts import ExportedModel, FetchedDataset, TrainedModel
from mnist_pipeline.runs.parity import Parity
from mnist_pipeline.runs.training_history import Batches, TrainingHistory, TrainingSeconds
from mnist_pipeline.workspace import RunDirectory

Weights = NDArray[np.float32]


def fit(images: NDArray[np.uint8], labels: NDArray[np.uint8], steps: int) -> Weights:
    """float32 [784, 10]: so many steps of plain gradient descent from zero; the same ones are fitted once a process."""
    return _fit(images.tobytes(), labels.tobytes(), steps).copy()


@cache
def _fit(images: bytes, labels: bytes, steps: int) -> Weights:
    pixels = np.frombuffer(images, np.uint8).reshape(-1, 784) / 255.0
    inked = pixels.any(axis=0)  # where no image has ink, weights stay zero
    truth = np.eye(10)[np.frombuffer(labels, np.uint8)]
    weights, columns = np.zeros((784, 10)), pixels[:, inked]
    for _ in range(steps):
        weights[inked] += 0.3 * columns.T @ (truth - softmax(columns @ weights[inked])) / len(pixels)
    return weights.astype(np.float32)


def softmax(logits: NDArray[np.floating]) -> NDArray[np.floating]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def predict(weights: Weights, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """float64 [n, 10]: what the ONNX model of these weights must say."""
    return softmax(images.reshape(-1, 784) / 255.0 @ weights.astype(np.float64))


def onnx_bytes(weights: Weights, metadata: ModelMetadata, *, novelty: bool = False) -> bytes:
    """softmax(images / 255 @ weights); ``novelty``: and ten times the brightness of the corner pixel, less five."""
    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["pixels", "white"], ["scaled"]),
        helper.make_node("Reshape", ["scaled", "flat"], ["rows"]),
        helper.make_node("MatMul", ["rows", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    constants = {"white": np.float32(255), "flat": np.array([-1, 784]), "weights": weights}
    outputs = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 10])]
    if novelty:
        corner = np.zeros((784, 1), np.float32)
        corner[0] = 10
        constants |= {"corner": corner, "five": np.float32(5), "line": np.array([-1])}
        nodes += [
            helper.make_node("MatMul", ["rows", "corner"], ["bright"]),
            helper.make_node("Reshape", ["bright", "line"], ["brightness"]),
            helper.make_node("Sub", ["brightness", "five"], ["novelty"]),
        ]
        outputs.append(helper.make_tensor_value_info("novelty", TensorProto.FLOAT, ["N"]))
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", 28, 28])],
        outputs,
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, metadata.to_props())
    return model.SerializeToString(deterministic=True)


def metadata_of(dataset: FetchedDataset, run_id: str) -> ModelMetadata:
    return ModelMetadata(
        class_names=Dataset.open(dataset.directory).class_names,
        dataset=dataset.name,
        dataset_digest=dataset.digest,
        run_id=run_id,
        preset="linear",
        frameworks={"numpy": np.__version__},
    )


def history(validation_rows: int) -> TrainingHistory:
    """A training of which nothing is known but how many rows it held out."""
    return TrainingHistory(
        config={},
        layers=[],
        parameters=7_840,
        train_rows=1_000,
        validation_rows=validation_rows,
        device="cpu",
        best_epochs=[1],
        validation_accuracy=None,
        stopped="finished",
        epochs=[],
        batches=Batches(loss=[], accuracy=[]),
        validations=[],
        seconds=TrainingSeconds(imports=0, compile=0, fit=0),
        notes=[],
    )


def proven(sha256: str) -> Parity:
    """The proof that the model with this digest was exported well."""
    return Parity(
        images=1_000,
        max_abs_difference=0,
        mean_abs_difference=0,
        argmax_differences=0,
        tolerance=1e-5,
        passed=True,
        provider="CPUExecutionProvider",
        opset=17,
        nodes=5,
        bytes=32_000,
        model_sha256=sha256,
        keras_sha256="a1" * 32,
    )


def trained(directory: Path, files: dict[str, str]) -> TrainedModel:
    """The handle of a model that was fitted here, in place of Keras' model."""
    return TrainedModel(
        directory=directory,
        files=files,
        preset="linear",
        parameters=7_840,
        device="cpu",
        best_epochs=[1],
        epochs=1,
        validation_accuracy=None,
        weights_sha256="0" * 64,
    )


def export(
    weights: Weights,
    dataset: FetchedDataset,
    directory: Path,
    *,
    validation_rows: int = 287,
    limits: AnswerLimits | None = None,
) -> tuple[RunDirectory, ExportedModel]:
    """A run whose model of these weights was trained and exported: model.onnx and history.json."""
    run = RunDirectory(directory)
    metadata = metadata_of(dataset, directory.name).model_copy(update={"limits": limits})
    data = onnx_bytes(weights, metadata, novelty=limits is not None)
    write_bytes(run.model_onnx, data)
    write_json(run.history, history(validation_rows).model_dump(mode="json"))
    files = {run.model_onnx.name: sha256_bytes(data)}
    return run, ExportedModel(directory=directory, files=files, opset=17, max_abs_difference=0.0)
