"""The export: what is written, that it says what Keras says, and what is refused. Real Keras models, real digits."""

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx.reference import ReferenceEvaluator

from mnist_pipeline.config import ExportConfig
from mnist_pipeline.data.dataset import Dataset
from mnist_pipeline.errors import ExportError, MissingExtraError
from mnist_pipeline.export import export_model
from mnist_pipeline.export.canonical import canonical_bytes
from mnist_pipeline.export.conversion import convert, predict
from mnist_pipeline.export.step import to_bytes
from mnist_pipeline.files import sha256_file
from mnist_pipeline.inference import Classifier, ModelMetadata, check_model_is_safe
from mnist_pipeline.inference.contract import compare
from mnist_pipeline.keras_backend import load_keras
from mnist_pipeline.runs.artifacts import ExportedModel, FetchedDataset, NoveltyModel, TrainedModel
from mnist_pipeline.runs.parity import Parity
from mnist_pipeline.training.saving import average
from mnist_pipeline.workspace import RunDirectory
from tests.support import linear_models
from tests.support.forks import Forks

ONNXRUNTIME_WEB = Path(os.environ.get("ONNXRUNTIME_WEB") or "node_modules/onnxruntime-web")
METADATA = ModelMetadata(
    class_names=tuple("0123456789"), dataset="digits", dataset_digest="d", run_id="r", preset="p", frameworks={}
)
HISTORY = linear_models.history(287)
# Keras' own: `model.save` copies arrays in a way that NumPy 2 has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def trained_model(model: Any, directory: Path) -> TrainedModel:
    """What the training room hands over: the model as a file, and a handle of it."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "model.keras"
    model.save(path)
    (directory / "history.json").write_text(HISTORY.model_dump_json())
    return TrainedModel(
        directory=directory,
        files=TrainedModel.digests(path),
        preset="codelab",
        parameters=model.count_params(),
        device="cpu",
        best_epochs=[1],
        epochs=1,
        validation_accuracy=None,
        weights_sha256="0" * 64,
    )


def codelab() -> Any:
    keras = load_keras()
    keras.utils.set_random_seed(3)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(8, 5, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(16, 5, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(10, activation="softmax", bias_initializer="random_normal"),
        ]
    )


def residual() -> Any:
    """Batch norms with statistics of their own, a skip connection, squeeze and excitation, three poolings."""
    keras = load_keras()
    keras.utils.set_random_seed(4)
    layers = keras.layers
    images = keras.Input((28, 28, 1))
    start = layers.Conv2D(8, 3, padding="same", use_bias=False)(images)
    start = layers.ReLU()(batch_norm(start))
    block = layers.SeparableConv2D(8, 3, padding="same")(start)
    block = layers.Activation("swish")(batch_norm(block))
    scale = layers.GlobalAveragePooling2D()(block)
    scale = layers.Reshape((1, 1, 8))(layers.Dense(8, activation="sigmoid")(scale))
    joined = layers.add([layers.multiply([block, scale]), start])
    joined = layers.AveragePooling2D(2)(layers.LeakyReLU(0.1)(joined))
    joined = layers.Conv2D(16, 3, strides=2)(layers.ZeroPadding2D(1)(layers.SpatialDropout2D(0.2)(joined)))
    features = layers.concatenate([layers.GlobalMaxPooling2D()(joined), layers.Flatten()(joined)])
    features = layers.Dropout(0.3)(layers.LayerNormalization()(features))
    return keras.Model(images, layers.Softmax()(layers.Dense(10)(features)))


def batch_norm(tensor: Any) -> Any:
    return load_keras().layers.BatchNormalization(
        beta_initializer="random_normal", moving_mean_initializer="random_normal", moving_variance_initializer="ones"
    )(tensor)


def ensemble() -> Any:
    keras = load_keras()
    images = keras.Input((28, 28, 1))
    members = [codelab(), residual()]
    for number, member in enumerate(members):
        member.name = f"member_{number}"
    return keras.Model(images, keras.layers.Average()([member(images) for member in members]))


def five_views() -> Any:
    return average([codelab(), residual()], views=5)


def dense() -> Any:
    keras = load_keras()
    keras.utils.set_random_seed(5)
    layers = keras.layers
    return keras.Sequential(
        [keras.Input((28, 28, 1)), layers.Flatten(), layers.Dense(42, "relu"), layers.Dense(10, "softmax")]
    )


def second_network(novelty_model: NoveltyModel) -> Any:
    return load_keras().models.load_model(novelty_model.directory / "novelty.keras")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    return trained_model(codelab(), tmp_path_factory.mktemp("runs") / "20260101-codelab")


@pytest.fixture(scope="module")
def exported(digits_dataset: FetchedDataset, trained: TrainedModel, novelty_model: NoveltyModel) -> ExportedModel:
    return export_model(ExportConfig(), digits_dataset, trained, novelty_model, RunDirectory(trained.directory))


@pytest.fixture(scope="module")
def graph(exported: ExportedModel) -> onnx.GraphProto:
    return onnx.load(exported.directory / "model.onnx").graph


def test_the_file_keeps_the_contract(exported: ExportedModel, digits_dataset: FetchedDataset) -> None:
    path = exported.directory / "model.onnx"
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    check_model_is_safe(path.read_bytes())

    signature = [
        (value.name, value.type.tensor_type.elem_type, [dim.dim_param or dim.dim_value for dim in dims])
        for value in (*model.graph.input, *model.graph.output)
        for dims in [value.type.tensor_type.shape.dim]
    ]
    assert signature == [
        ("images", onnx.TensorProto.UINT8, ["N", 28, 28]),
        ("probabilities", onnx.TensorProto.FLOAT, ["N", 10]),
        ("novelty", onnx.TensorProto.FLOAT, ["N"]),
    ]
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
    classifier = Classifier.load(path, device="cpu")
    assert classifier.metadata.class_names[::9] == ("Zero", "Nine")
    assert classifier.metadata.dataset_digest == digits_dataset.digest
    assert classifier.metadata.run_id == "20260101-codelab"
    assert classifier.metadata.preset == "codelab"
    assert set(classifier.metadata.frameworks) == {"tensorflow", "keras", "tf2onnx", "onnx"}


def test_the_codelab_network_becomes_its_layers_and_nothing_else(graph: onnx.GraphProto) -> None:
    assert [node.op_type for node in graph.node][:14] == [
        *("Cast", "Mul", "Reshape"),
        *("Conv", "Relu", "MaxPool", "Conv", "Relu", "MaxPool"),
        *("Transpose", "Reshape", "MatMul", "Add", "Softmax"),
    ]
    shapes = [
        onnx.numpy_helper.to_array(tensor).tolist()
        for tensor in graph.initializer
        if tensor.data_type == onnx.TensorProto.INT64
    ]
    assert shapes[:2] == [[-1, 1, 28, 28], [-1, 256]]


def test_names_tell_nothing_but_the_place(graph: onnx.GraphProto) -> None:
    assert [node.name for node in graph.node][:4] == ["cast_0", "mul_1", "reshape_2", "conv_3"]
    assert [tensor.name for tensor in graph.initializer] == [f"constant_{i}" for i in range(len(graph.initializer))]
    assert not any(message.doc_string for message in (graph, *graph.node, *graph.initializer))
    assert not graph.value_info


def test_the_handle_and_the_record_say_what_was_measured(exported: ExportedModel, trained: TrainedModel) -> None:
    record = Parity.model_validate(json.loads((exported.directory / "parity.json").read_text()))

    assert exported.verify().sha256 == record.model_sha256 == sha256_file(exported.directory / "model.onnx")
    assert record.keras_sha256 == trained.files["model.keras"]
    assert (record.images, record.passed, record.argmax_differences) == (1_000, True, 0)
    assert 0 <= record.mean_abs_difference <= record.max_abs_difference <= record.tolerance == 1e-5
    assert record.max_abs_difference == exported.max_abs_difference
    assert (record.provider, record.opset, record.nodes) == ("CPUExecutionProvider", 17, 50)
    assert record.bytes == (exported.directory / "model.onnx").stat().st_size
    assert exported.opset == 17


def test_keras_and_onnx_agree_on_test_images_too(
    exported: ExportedModel, digits_dataset: FetchedDataset, novelty_model: NoveltyModel
) -> None:
    """Pixels travel one way through the library's scaling and the other through the graph's."""
    images = Dataset.open(digits_dataset.directory).test.images
    model = load_keras().models.load_model(exported.directory / "model.keras")
    classifier = Classifier.load(exported.directory / "model.onnx", device="cpu")

    found = classifier.probabilities(images)

    second = second_network(novelty_model)
    expected = predict(model, second, images)
    np.testing.assert_allclose(found, expected.probabilities, atol=1e-6)
    np.testing.assert_allclose(classifier.answers(images).novelty, expected.novelty, atol=1e-4)
    np.testing.assert_array_equal(classifier.answers(images).probabilities, found)
    np.testing.assert_allclose(classifier.probabilities(images, batch_size=7), found, atol=1e-6)


OPSETS = {residual: 18, ensemble: 17, five_views: 17, dense: 18}
Export = Callable[[Callable[[], Any]], ExportedModel]


@pytest.fixture(scope="module")
def export(
    exported: ExportedModel,
    digits_dataset: FetchedDataset,
    novelty_model: NoveltyModel,
    tmp_path_factory: pytest.TempPathFactory,
) -> Export:
    """Export a network; each is exported once."""

    @cache
    def export(build: Callable[[], Any]) -> ExportedModel:
        if build is codelab:
            return exported
        folder = tmp_path_factory.mktemp(build.__name__)
        config = ExportConfig(opset=OPSETS[build])
        trained = trained_model(build(), folder)
        return export_model(config, digits_dataset, trained, novelty_model, RunDirectory(folder))

    return export


@pytest.mark.parametrize("build", OPSETS)
def test_other_networks_export_as_well(build: Callable[[], Any], export: Export) -> None:
    found = export(build)
    operators = {node.op_type for node in onnx.load(found.path).graph.node}
    assert not operators & {"Shape", "Gather", "Slice", "Expand", "Squeeze", "Flatten"}
    assert found.max_abs_difference <= 1e-5
    assert found.opset == OPSETS[build]


@pytest.mark.parametrize("build", [codelab, *OPSETS])
def test_opencv_runs_the_same_file(build: Callable[[], Any], export: Export) -> None:
    """OpenCV takes uint8 [N, 28, 28] as it is; `cv2.dnn.blobFromImages` would make float32 [N, 1, 28, 28] of it."""
    images = np.random.default_rng(1).integers(0, 256, (5, 28, 28), dtype=np.uint8)
    data = export(build).path.read_bytes()

    net = cv2.dnn.readNetFromONNX(np.frombuffer(data, np.uint8))
    for count in (1, 5):
        net.setInput(images[:count])
        expected = Classifier.load(data, device="cpu").answers(images[:count])
        probabilities, novelty = net.forward(["probabilities", "novelty"])
        np.testing.assert_allclose(probabilities, expected.probabilities, atol=1e-5)
        np.testing.assert_allclose(novelty.reshape(-1), expected.novelty, atol=1e-4)


@pytest.mark.parametrize("build", [codelab, five_views])
def test_the_reference_implementation_says_the_same(build: Callable[[], Any], export: Export) -> None:
    images = np.random.default_rng(2).integers(0, 256, (2, 28, 28), dtype=np.uint8)
    data = export(build).path.read_bytes()

    probabilities, novelty = ReferenceEvaluator(onnx.load_model_from_string(data)).run(None, {"images": images})

    expected = Classifier.load(data, device="cpu").answers(images)
    np.testing.assert_allclose(probabilities, expected.probabilities, atol=1e-5)
    np.testing.assert_allclose(novelty, expected.novelty, atol=1e-4)


@pytest.mark.skipif(
    not (ONNXRUNTIME_WEB.is_dir() and shutil.which("node")),
    reason="needs node and onnxruntime-web: set ONNXRUNTIME_WEB, or run npm install onnxruntime-web",
)
@pytest.mark.parametrize("build", [codelab, residual, five_views])
def test_onnxruntime_web_says_the_same(build: Callable[[], Any], tmp_path: Path, export: Export) -> None:
    images = np.random.default_rng(6).integers(0, 256, (4, 28, 28), dtype=np.uint8)
    model = export(build).path
    (tmp_path / "images").write_bytes(images.tobytes())
    script = Path(__file__).with_name("run_in_web.mjs")
    command = ["node", script, ONNXRUNTIME_WEB, model, tmp_path / "images", str(len(images))]

    told = subprocess.run(command, capture_output=True, timeout=300, check=True).stdout

    expected = Classifier.load(model, device="cpu").answers(images)
    found = {name: np.array(one["values"], np.float32).reshape(one["dims"]) for name, one in json.loads(told).items()}
    assert sorted(found) == ["novelty", "probabilities"]
    np.testing.assert_allclose(found["probabilities"], expected.probabilities, atol=1e-4, strict=True)
    np.testing.assert_allclose(found["novelty"], expected.novelty, atol=1e-4, strict=True)


def test_where_there_are_fewer_train_images_all_are_compared(
    digits_dataset: FetchedDataset,
    trained: TrainedModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    novelty_model: NoveltyModel,
) -> None:
    monkeypatch.setattr(Dataset, "test", property(lambda _: pytest.fail("the test rows were read")))
    config = ExportConfig(parity_images=5_000)

    export_model(config, digits_dataset, trained, novelty_model, RunDirectory(tmp_path))

    compared = Parity.model_validate_json((tmp_path / "parity.json").read_text()).images
    assert compared == digits_dataset.train_rows - HISTORY.validation_rows


EXPORT_AGAIN = """
import sys
from pathlib import Path
from mnist_pipeline.config import ExportConfig
from mnist_pipeline.export import export_model
from mnist_pipeline.runs.artifacts import FetchedDataset, NoveltyModel, TrainedModel
from mnist_pipeline.workspace import RunDirectory
dataset, trained, novelty, run = sys.argv[1:]
exported = export_model(
    ExportConfig(),
    FetchedDataset.model_validate_json(dataset),
    TrainedModel.model_validate_json(trained),
    NoveltyModel.model_validate_json(novelty),
    RunDirectory(Path(run)),
)
print(exported.sha256)
"""


def test_another_process_writes_the_same_bytes_and_nothing_on_the_terminal(
    forks: Forks,
    exported: ExportedModel,
    trained: TrainedModel,
    digits_dataset: FetchedDataset,
    tmp_path: Path,
    novelty_model: NoveltyModel,
) -> None:
    run = tmp_path / trained.directory.name  # the run's id is part of the metadata
    run.mkdir()
    handles = (handle.model_dump_json() for handle in (digits_dataset, trained, novelty_model))
    assert forks.start(EXPORT_AGAIN, *handles, run).end() == (0, exported.sha256 + "\n", "")


@pytest.fixture(scope="module")
def converted(novelty_model: NoveltyModel) -> onnx.ModelProto:
    return convert(residual(), second_network(novelty_model), 17)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_what_a_converter_may_choose_freely_leaves_no_trace(converted: onnx.ModelProto, seed: int) -> None:
    shuffled = onnx.ModelProto()
    shuffled.CopyFrom(converted)
    rename_and_shuffle(shuffled, random.Random(seed))

    assert shuffled.SerializeToString() != converted.SerializeToString()
    assert canonical_bytes(shuffled, 17, {"b": "2", "a": "1"}) == canonical_bytes(converted, 17, {"a": "1", "b": "2"})


def rename_and_shuffle(model: onnx.ModelProto, chance: random.Random) -> None:
    """Other names, another order of constants and attributes, dead nodes and prose: the same network."""
    graph = model.graph
    names = {name for node in graph.node for name in (*node.input, *node.output)}
    names -= {"", graph.input[0].name, *(output.name for output in graph.output)}
    renamed = dict(zip(sorted(names), chance.sample(range(10**6), len(names)), strict=True))
    for node in graph.node:
        node.name = node.doc_string = f"n{chance.random()}"
        for field in (node.input, node.output):
            field[:] = [f"t{renamed[name]}" if name in renamed else name for name in field]
        attributes = sorted(node.attribute, key=lambda _: chance.random())
        del node.attribute[:]
        node.attribute.extend(attributes)
    constants = sorted(graph.initializer, key=lambda _: chance.random())
    for tensor in constants:
        tensor.name = f"t{renamed[tensor.name]}"
    del graph.initializer[:]
    graph.initializer.extend(constants)
    graph.node.insert(chance.randrange(len(graph.node)), onnx.helper.make_node("Relu", ["images"], ["unused"]))
    model.producer_version = "9.9"
    model.opset_import.append(onnx.helper.make_opsetid("ai.onnx.ml", 2))
    model.metadata_props.append(onnx.StringStringEntryProto(key="old", value="gone"))


def test_one_changed_weight_or_word_changes_the_bytes(converted: onnx.ModelProto) -> None:
    changed = onnx.ModelProto()
    changed.CopyFrom(converted)
    tensor = next(t for t in changed.graph.initializer if len(t.dims) == 4)
    values = onnx.numpy_helper.to_array(tensor).copy()
    values.flat[0] = np.nextafter(values.flat[0], np.inf)
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))

    digests = {
        canonical_bytes(converted, 17, {"run_id": "one"}),
        canonical_bytes(changed, 17, {"run_id": "one"}),
        canonical_bytes(converted, 17, {"run_id": "two"}),
    }
    assert len(digests) == 3


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ({"layer": "Dense", "units": 10}, "gives no probabilities for .* the last layer must be a softmax"),
        ({"layer": "Dense", "units": 11, "activation": "softmax"}, r"gives arrays of shape \(None, 11\), expected"),
        ({"layer": "Dense", "units": 10, "activation": "gelu"}, "tf2onnx cannot express Erfc in ONNX"),
    ],
    ids=["logits", "eleven classes", "no such operator"],
)
def test_a_network_outside_the_contract_is_refused_and_nothing_is_written(
    last: dict[str, Any], said: str, digits_dataset: FetchedDataset, tmp_path: Path, novelty_model: NoveltyModel
) -> None:
    keras = load_keras()
    layer = getattr(keras.layers, last.pop("layer"))(**last)
    model = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten(), layer])

    with pytest.raises(ExportError, match=said):
        export_model(
            ExportConfig(), digits_dataset, trained_model(model, tmp_path), novelty_model, RunDirectory(tmp_path)
        )

    assert sorted(path.name for path in tmp_path.iterdir()) == ["history.json", "model.keras"]


def test_another_backend_than_tensorflow_is_told_what_to_do(
    trained: TrainedModel,
    digits_dataset: FetchedDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    novelty_model: NoveltyModel,
) -> None:
    monkeypatch.setattr(load_keras().backend, "backend", lambda: "jax")
    with pytest.raises(ExportError, match=r"Keras runs on jax here, .* run it with KERAS_BACKEND=tensorflow"):
        export_model(ExportConfig(), digits_dataset, trained, novelty_model, RunDirectory(tmp_path))


@pytest.mark.parametrize("package", ["tensorflow", "tf2onnx"])
def test_without_its_packages_export_names_the_extra(
    package: str,
    trained: TrainedModel,
    digits_dataset: FetchedDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    novelty_model: NoveltyModel,
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"export needs the 'train' extra"):
        export_model(ExportConfig(), digits_dataset, trained, novelty_model, RunDirectory(tmp_path))


def test_shapes_that_only_the_pixels_decide_are_refused(novelty_model: NoveltyModel) -> None:
    keras = load_keras()

    class Ragged(keras.layers.Layer):  # type: ignore[misc]
        def call(self, images: Any) -> Any:
            rows = keras.ops.cast(keras.ops.sum(images), "int32")
            return keras.ops.reshape(images, [-1, rows])[:, :10]

        def compute_output_shape(self, _: Any) -> tuple[None, int]:
            return (None, 10)

    model = keras.Sequential([keras.Input((28, 28, 1)), Ragged()])
    with pytest.raises(ExportError, match="cannot be settled before it runs"):
        to_bytes(convert(model, second_network(novelty_model), 17), 17, METADATA)


PROBABILITIES = np.array([[0.5, 0.3, 0.2], [0.4, 0.35, 0.25]], np.float32)


def test_agreement_is_measured_per_probability_and_per_answer() -> None:
    other = np.array([[0.5, 0.3, 0.2], [0.3, 0.45, 0.25]], np.float32)

    found = compare(PROBABILITIES, other)

    assert (found.images, found.argmax_differences) == (2, 1)
    assert found.max_abs_difference == pytest.approx(0.1)
    assert found.mean_abs_difference == pytest.approx(0.2 / 6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.5, 0.9])
def test_two_models_that_are_broken_alike_do_not_agree(value: float) -> None:
    broken = PROBABILITIES.copy()
    broken[1, 0] = value
    with pytest.raises(ExportError, match="gives no probabilities for 1 of 2 images: image 1"):
        compare(broken, broken)


@given(
    arrays(np.float32, (5, 10), elements=st.floats(-5, 5, width=32)),
    arrays(np.float32, (5, 10), elements=st.floats(-5, 5, width=32)),
)
def test_agreement_is_symmetric_and_zero_only_for_equals(left: np.ndarray, right: np.ndarray) -> None:
    one, other = (np.exp(x) / np.exp(x).sum(axis=1, keepdims=True) for x in (left, right))

    found = compare(one, other)

    assert found == compare(other, one)
    assert (found.max_abs_difference == 0) == bool((one == other).all())
