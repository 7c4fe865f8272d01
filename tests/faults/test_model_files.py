"""Model files that were made to do harm, or that differ from what they stand for."""

import json
import os
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import mnist_pipeline.export.step
from mnist_pipeline.config import ExportConfig
from mnist_pipeline.errors import DeviceError, ExportError, IntegrityError
from mnist_pipeline.export import export_model
from mnist_pipeline.export.conversion import convert
from mnist_pipeline.files import sha256_bytes
from mnist_pipeline.inference import MAX_BATCH, MAX_BYTES, Classifier, ModelMetadata, check_model_is_safe
from mnist_pipeline.keras_backend import load_keras
from mnist_pipeline.runs.artifacts import FetchedDataset, NoveltyModel, TrainedModel
from mnist_pipeline.workspace import RunDirectory
from tests.support import linear_models

# Keras' own: `model.save` copies arrays in a way that NumPy 2 has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

METADATA = ModelMetadata(
    class_names=tuple("0123456789"), dataset="digits", dataset_digest="d", run_id="r", preset="p", frameworks={}
)
WEIGHTS = np.random.default_rng(7).normal(size=(784, 10)).astype(np.float32) / 8
SECRET = WEIGHTS[::-1].tobytes()
NODES = (
    helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
    helper.make_node("Reshape", ["pixels", "flat"], ["rows"]),
    helper.make_node("MatMul", ["rows", "weights"], ["logits"]),
    helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
)


def build_model(*between: onnx.NodeProto, constants: dict[str, np.ndarray] | None = None) -> onnx.ModelProto:
    """softmax(images @ WEIGHTS), with ``between`` after the first two nodes."""
    values = {"flat": np.array([-1, 784]), "weights": WEIGHTS} | (constants or {})
    graph = helper.make_graph(
        [*NODES[:2], *between, *NODES[2:]],
        "linear",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", 28, 28])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 10])],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, METADATA.to_props())
    return model


def refuse(model: onnx.ModelProto | bytes, said: str) -> None:
    data = model if isinstance(model, bytes) else model.SerializeToString()
    for load in (check_model_is_safe, Classifier.load):
        with pytest.raises(IntegrityError, match=said):
            load(data)


def test_the_model_that_the_attacks_start_from_is_accepted() -> None:
    found = Classifier.load(build_model().SerializeToString(), device="cpu").probabilities(
        np.zeros((2, 28, 28), np.uint8)
    )
    np.testing.assert_allclose(found, 0.1, atol=1e-6)


# --- external data: ONNX's own tests of CVE-2022-25882, CVE-2024-27318 and CVE-2026-27489, in every place


def external_tensor(location: str) -> onnx.TensorProto:
    tensor = TensorProto(name="weights", dims=[784, 10], data_type=TensorProto.FLOAT)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    tensor.external_data.add(key="offset", value="0")
    tensor.external_data.add(key="length", value=str(len(SECRET)))
    return tensor


def as_initializer(model: onnx.ModelProto, tensor: onnx.TensorProto) -> None:
    model.graph.initializer[1].CopyFrom(tensor)


def as_constant(model: onnx.ModelProto, tensor: onnx.TensorProto) -> None:
    del model.graph.initializer[1]
    model.graph.node.insert(0, helper.make_node("Constant", [], ["weights"], value=tensor))


def as_list_attribute(model: onnx.ModelProto, tensor: onnx.TensorProto) -> None:
    model.graph.node[0].attribute.add(name="more", type=onnx.AttributeProto.TENSORS, tensors=[tensor])


def as_sparse_initializer(model: onnx.ModelProto, tensor: onnx.TensorProto) -> None:
    model.graph.sparse_initializer.add(values=tensor, indices=tensor, dims=[784, 10])


def as_sparse_constant(model: onnx.ModelProto, tensor: onnx.TensorProto) -> None:
    sparse = onnx.SparseTensorProto(values=tensor, indices=tensor, dims=[784, 10])
    model.graph.node.insert(0, helper.make_node("Constant", [], ["more"], sparse_value=sparse))


def in_subgraph(model: onnx.ModelProto, tensor: onnx.TensorProto) -> None:
    branch = helper.make_graph([], "branch", [], [], [tensor])
    model.graph.node.insert(0, helper.make_node("If", ["c"], ["more"], then_branch=branch, else_branch=branch))


def in_function(model: onnx.ModelProto, tensor: onnx.TensorProto) -> None:
    constant = helper.make_node("Constant", [], ["y"], value=tensor)
    model.functions.append(helper.make_function("", "Softmax", ["x"], ["y"], [constant], [helper.make_opsetid("", 17)]))


def in_training_info(model: onnx.ModelProto, tensor: onnx.TensorProto) -> None:
    model.training_info.add(algorithm=helper.make_graph([], "algorithm", [], [], [tensor]))


PLACES = (
    as_initializer,
    as_constant,
    as_list_attribute,
    as_sparse_initializer,
    as_sparse_constant,
    in_subgraph,
    in_function,
    in_training_info,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model's folder, with another file's bytes within reach in every way that a path can go."""
    (tmp_path / "secret.bin").write_bytes(SECRET)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(SECRET)
    (folder / "symlink.bin").symlink_to(tmp_path / "secret.bin")
    os.link(tmp_path / "secret.bin", folder / "hardlink.bin")
    return folder


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
@pytest.mark.parametrize(
    "location", ["weights.bin", "symlink.bin", "hardlink.bin", "../secret.bin", "./x/../../secret.bin", "", "ABSOLUTE"]
)
def test_external_data_is_refused_wherever_it_is_named(
    folder: Path, place: Callable[[onnx.ModelProto, onnx.TensorProto], None], location: str
) -> None:
    model = build_model()
    place(model, external_tensor(str(folder.parent / "secret.bin") if location == "ABSOLUTE" else location))
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())

    with pytest.raises(IntegrityError, match=f"{path}: .*(external data, which is never loaded|is not accepted)"):
        Classifier.load(path, device="cpu")
    refuse(model, "external data, which is never loaded|is not accepted")


@pytest.mark.parametrize("field", ["data_location", "external_data"])
def test_half_of_a_reference_is_refused_too(field: str) -> None:
    """Parsers differ in which half they go by."""
    model = build_model()
    tensor = external_tensor("weights.bin")
    model.graph.initializer[1].ClearField("raw_data")
    model.graph.initializer[1].raw_data = SECRET
    getattr(model.graph.initializer[1], field)
    if field == "data_location":
        model.graph.initializer[1].data_location = tensor.data_location
    else:
        model.graph.initializer[1].external_data.extend(tensor.external_data)
    refuse(model, "external data, which is never loaded")


def test_weights_swapped_after_the_check_have_no_effect(tmp_path: Path) -> None:
    """The bytes that are checked are those that are loaded: the file is opened once."""
    path = tmp_path / "model.onnx"
    path.write_bytes(build_model().SerializeToString())
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)
    classifier = Classifier.load(path, device="cpu")
    before = classifier.probabilities(images)

    other = build_model()
    other.graph.initializer[1].raw_data = SECRET
    path.write_bytes(other.SerializeToString())

    np.testing.assert_array_equal(classifier.probabilities(images), before)
    with pytest.raises(IntegrityError, match="it was changed or is another model"):
        Classifier.load(path, sha256=classifier.sha256)


# --- code and structure that a classifier has no use for


def call_a_function(model: onnx.ModelProto) -> None:
    relu = helper.make_node("Relu", ["x"], ["y"])
    model.functions.append(helper.make_function("own", "F", ["x"], ["y"], [relu], [helper.make_opsetid("", 17)]))
    model.opset_import.append(helper.make_opsetid("own", 1))
    model.graph.node[3].op_type, model.graph.node[3].domain = "F", "own"


def import_a_second_domain(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 2))


def use_a_contrib_operator(model: onnx.ModelProto) -> None:
    model.graph.node[3].domain = "com.microsoft"


def refer_to_an_attribute(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute[0].ref_attr_name = "to"


def annotate_quantization(model: onnx.ModelProto) -> None:
    model.graph.quantization_annotation.add(tensor_name="weights")


def place_a_node_on_a_device(model: onnx.ModelProto) -> None:
    model.graph.node[0].device_configurations.add(configuration_id="x")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (call_a_function, "ModelProto.functions, which is not accepted"),
        (import_a_second_domain, r"operator sets \['ai.onnx', 'ai.onnx.ml'\], expected \['ai.onnx'\] alone"),
        (use_a_contrib_operator, "operator 'com.microsoft.Softmax', which is not accepted"),
        (refer_to_an_attribute, "AttributeProto.ref_attr_name, which is not accepted"),
        (annotate_quantization, "GraphProto.quantization_annotation, which is not accepted"),
        (place_a_node_on_a_device, "NodeProto.device_configurations, which is not accepted"),
    ],
)
def test_what_a_classifier_has_no_use_for_is_refused(change: Callable[[onnx.ModelProto], None], said: str) -> None:
    model = build_model()
    change(model)
    refuse(model, said)


@pytest.mark.parametrize("operator", ["If", "Loop", "Scan", "SequenceMap", "Shape", "RandomNormal", "StringNormalizer"])
def test_operators_outside_the_list_are_refused_by_name(operator: str) -> None:
    refuse(build_model(helper.make_node(operator, ["rows"], ["more"])), f"operator '{operator}', which is not accepted")


def test_bytes_that_hide_beside_the_model_are_refused() -> None:
    data = build_model().SerializeToString()
    hidden = b"\xfa\x3f\x05hello"  # field 1023, which ONNX does not have
    refuse(data + hidden, "holds 8 bytes that are no part of a model")
    refuse(data + b"\x08\x08", "holds 2 bytes that are no part of a model")  # ir_version, a second time


def test_a_nest_of_graphs_does_not_exhaust_the_stack() -> None:
    graph = onnx.GraphProto(name="g").SerializeToString()
    for _ in range(5_000):
        attribute = b"\x32" + varint(len(graph)) + graph  # AttributeProto.g
        node = b"\x2a" + varint(len(attribute)) + attribute  # NodeProto.attribute
        graph = b"\x0a" + varint(len(node)) + node  # GraphProto.node
    refuse(b"\x3a" + varint(len(graph)) + graph, "is not an ONNX file")


def varint(number: int) -> bytes:
    low, rest = number & 127, number >> 7
    return bytes([low | 128]) + varint(rest) if rest else bytes([low])


# --- files that would exhaust the memory or that never end


def reshaped(*shape: int) -> tuple[onnx.NodeProto, dict[str, np.ndarray]]:
    return helper.make_node("Reshape", ["rows", "shape"], ["wide"]), {"shape": np.array(shape)}


def outer_product() -> onnx.ModelProto:
    reshape, constants = reshaped(-1, 784, 1)
    return build_model(
        reshape,
        helper.make_node("Mul", ["wide", "row"], ["huge"]),
        constants=constants | {"row": np.ones((1, 1, 2_000), np.float32)},
    )


def square_of_the_batch() -> onnx.ModelProto:
    """Harmless for one image: 784 numbers."""
    reshape, constants = reshaped(-1, 784, 1)
    return build_model(
        reshape,
        helper.make_node("Transpose", ["rows"], ["columns"], perm=[1, 0]),
        helper.make_node("Mul", ["wide", "columns"], ["huge"]),
        constants=constants,
    )


def wide_padding() -> onnx.ModelProto:
    return build_model(
        helper.make_node("Pad", ["rows", "pads"], ["huge"]), constants={"pads": np.array([0, 0, 0, 2_000_000])}
    )


def shape_from_the_pixels() -> onnx.ModelProto:
    return build_model(
        helper.make_node("ReduceMax", ["rows"], ["top"], keepdims=0),
        helper.make_node("Cast", ["top"], ["size"], to=TensorProto.INT64),
        helper.make_node("Unsqueeze", ["size", "axis"], ["shape"]),
        helper.make_node("Reshape", ["rows", "shape"], ["huge"]),
        constants={"axis": np.array([0])},
    )


def deep_padding_of_a_pool() -> onnx.ModelProto:
    reshape, constants = reshaped(-1, 1, 28, 28)
    pool = helper.make_node("MaxPool", ["wide"], ["huge"], kernel_shape=[2, 2], pads=[0, 0, 2**40, 2**40])
    return build_model(reshape, pool, constants=constants)


def tensor_without_its_values() -> onnx.ModelProto:
    model = build_model()
    model.graph.initializer[1].dims[:] = [10**9, 10**9]
    return model


def tensor_of_negative_size() -> onnx.ModelProto:
    model = build_model()
    model.graph.initializer[1].dims[:] = [-784, -10]
    return model


def endless_chain() -> onnx.ModelProto:
    names = ["rows", *(f"t{i}" for i in range(10_001))]
    return build_model(*(helper.make_node("Relu", [a], [b]) for a, b in pairwise(names)))


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (outer_product, "'huge' of the model file has 1,568,000 elements for a batch of 1, at most 1,048,576"),
        (
            square_of_the_batch,
            f"'huge' of the model file has {784 * MAX_BATCH**2:,} elements for a batch of 65,536, at most",
        ),
        (wide_padding, "'huge' of the model file has 2,000,784 elements"),
        (shape_from_the_pixels, "the shape of 'huge'.* cannot be known before it runs"),
        (deep_padding_of_a_pool, "attribute 'pads' of the operator 'MaxPool' is 1,099,511,627,776, at most 1,048,576"),
        (tensor_without_its_values, r"'weights' of the model file holds 7840 values, states 1e\+18"),
        (tensor_of_negative_size, r"'weights' of the model file has the shape \[-784, -10\]"),
        (endless_chain, "10,005 nodes, at most 10,000"),
    ],
)
def test_shape_bombs_are_refused_before_anything_is_allocated(build: Callable[[], onnx.ModelProto], said: str) -> None:
    refuse(build(), said)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with path.open("wb") as file:
        file.truncate(2**40)  # a hole: reading it would take an hour
    with pytest.raises(IntegrityError, match=f"1,099,511,627,776 bytes, at most {MAX_BYTES:,} are accepted"):
        Classifier.load(path)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "is missing"),
        (lambda path: path.mkdir(), "is not a regular file|cannot be read: Is a directory"),
        (os.mkfifo, "is not a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "is not a regular file"),
        (lambda path: path.symlink_to(path), "cannot be read: Too many levels of symbolic links"),
        (lambda path: path.write_bytes(b""), "expected images UINT8|imports the operator sets"),
    ],
    ids=["missing", "folder", "pipe", "device", "loop", "empty"],
)
@pytest.mark.skipif(os.name != "posix", reason="pipes and devices as POSIX has them")
def test_what_is_no_model_file_is_refused_without_waiting(
    tmp_path: Path, make: Callable[[Path], object], said: str
) -> None:
    make(tmp_path / "model.onnx")
    with pytest.raises(IntegrityError, match=said):
        Classifier.load(tmp_path / "model.onnx")


# --- bit-rot


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_damaged_bytes_are_refused_or_still_a_model(data: st.DataObject) -> None:
    """With the recorded digest, always refused; without, never anything but an `IntegrityError` or an answer."""
    good = build_model().SerializeToString()
    # Most bytes are weights; the structure lies before and after them.
    place = data.draw(st.one_of(st.integers(0, 300), st.integers(len(good) - 900, len(good) - 1)))
    damaged = bytearray(good)
    match data.draw(st.sampled_from(["flip", "cut", "double", "drop"])):
        case "flip":
            damaged[place] ^= data.draw(st.integers(1, 255))
        case "cut":
            del damaged[place:]
        case "double":
            damaged[place:place] = damaged[place : place + data.draw(st.integers(1, 64))]
        case "drop":
            del damaged[place : place + data.draw(st.integers(1, 64))]
    broken = bytes(damaged)
    if broken == good:
        return

    with pytest.raises(IntegrityError, match="has SHA-256"):
        Classifier.load(broken, sha256=sha256_bytes(good))
    try:
        classifier = Classifier.load(broken, device="cpu", threads=1)
    except IntegrityError:
        pass
    else:
        assert classifier.probabilities(np.zeros((3, 28, 28), np.uint8)).shape == (3, 10)


# --- Keras archives (CVE-2025-1550, CVE-2025-8747, CVE-2025-9905, CVE-2026-1669)


def handle(path: Path) -> TrainedModel:
    """What names the archive, with the right digest: the attacker could write the record as well."""
    return linear_models.trained(path.parent, TrainedModel.digests(path))


def small_model(*more: Any) -> Any:
    keras = load_keras()
    keras.utils.set_random_seed(1)
    layers = keras.layers
    return keras.Sequential(
        [keras.Input((28, 28, 1)), layers.Flatten(name="flat"), layers.Dense(10, "softmax", name="last"), *more]
    )


def refuse_archive(path: Path, dataset: FetchedDataset, novelty_model: NoveltyModel, said: str) -> None:
    with pytest.raises(IntegrityError, match=said):
        export_model(ExportConfig(), dataset, handle(path), novelty_model, RunDirectory(path.parent))
    assert not (path.parent / "model.onnx").exists()
    assert not (path.parent / "parity.json").exists()


def test_the_code_in_a_lambda_layer_is_never_run(
    tmp_path: Path, digits_dataset: FetchedDataset, novelty_model: NoveltyModel
) -> None:
    keras, trace = load_keras(), tmp_path / "trace"
    name = str(trace)
    path = tmp_path / "model.keras"
    payload = lambda tensor: [open(name, "w").close(), tensor][1]  # noqa: E731, PTH123
    small_model(keras.layers.Lambda(payload)).save(path)
    keras.models.load_model(path, safe_mode=False)
    assert trace.exists(), "the attack does not even work on those who let it"
    trace.unlink()

    refuse_archive(path, digits_dataset, novelty_model, f"{path} is refused: .*`Lambda` layer")

    assert not trace.exists()


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Apply ``change`` to the archive's config.json."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    change(config)
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def layer_entry(config: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(entry for entry in config["config"]["layers"] if entry["config"].get("name") == name)
    return found


def call_the_system(config: dict[str, Any], trace: Path) -> None:
    layer_entry(config, "flat").update(module="os", class_name="system", config={"command": f"touch {trace}"})


def call_any_function(config: dict[str, Any], trace: Path) -> None:
    entry = {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}
    layer_entry(config, "last")["config"]["activation"] = entry


def fetch_a_file(config: dict[str, Any], trace: Path) -> None:
    source = trace.with_name("source")
    source.write_text("payload")
    layer_entry(config, "flat").update(
        module="keras.utils",
        class_name="get_file",
        config={"fname": str(trace), "origin": source.as_uri(), "cache_dir": str(trace.parent), "name": "flat"},
        registered_name="get_file",
    )


@pytest.mark.parametrize(
    ("gadget", "said"),
    [
        (call_the_system, "Could not locate class 'system'"),
        (call_any_function, "Could not locate function 'system'"),
        (fetch_a_file, "Cannot deserialize `keras.utils.get_file`"),
    ],
)
def test_a_config_that_names_other_code_than_layers_is_refused(
    gadget: Callable[[dict[str, Any], Path], None],
    said: str,
    tmp_path: Path,
    digits_dataset: FetchedDataset,
    novelty_model: NoveltyModel,
) -> None:
    path, trace = tmp_path / "model.keras", tmp_path / "trace"
    small_model().save(path)
    rewrite(path, lambda config: gadget(config, trace))

    refuse_archive(path, digits_dataset, novelty_model, f"{path} is refused: {said}")

    assert not trace.exists()


def test_an_hdf5_file_is_refused_whatever_its_name(
    tmp_path: Path, digits_dataset: FetchedDataset, novelty_model: NoveltyModel
) -> None:
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "model.keras"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = "{}"
    refuse_archive(
        path, digits_dataset, novelty_model, "is not a .keras archive; other formats, .h5 among them, are never loaded"
    )


@pytest.fixture
def weights_file(tmp_path: Path) -> Path:
    """The weights of a saved model, unpacked."""
    small_model().save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        archive.extract("model.weights.h5", tmp_path)
    return tmp_path / "model.weights.h5"


def pack(weights: Path) -> Path:
    path = weights.with_name("model.keras")
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (members | {"model.weights.h5": weights.read_bytes()}).items():
            archive.writestr(name, data)
    return path


def kernel(file: Any) -> Any:
    """The group that holds the dense layer's kernel, as dataset "0"."""
    groups: list[Any] = []
    file.visititems(lambda _, item: groups.append(item.parent) if getattr(item, "shape", None) == (784, 10) else None)
    return groups[0]


def point_at_raw_bytes(h5py: Any, group: Any, secret: Path) -> None:
    group.create_dataset("0", (784, 10), "float32", external=[(str(secret), 0, len(SECRET))])


def link_to_another_file(h5py: Any, group: Any, secret: Path) -> None:
    with h5py.File(secret.with_suffix(".h5"), "w") as file:
        file["kernel"] = WEIGHTS
    group["0"] = h5py.ExternalLink(str(secret.with_suffix(".h5")), "kernel")


def state_an_absurd_size(h5py: Any, group: Any, secret: Path) -> None:
    group.create_dataset("0", (2**30, 2**30), "float32", chunks=(1024, 1024))


@pytest.mark.parametrize(
    ("attack", "said"),
    [
        (point_at_raw_bytes, "H5 file with external Dataset"),
        (link_to_another_file, "H5 file with ExternalLink"),
        (state_an_absurd_size, "declares 4.00 PB"),
    ],
)
def test_weights_that_lie_elsewhere_are_refused(
    attack: Callable[[Any, Any, Path], None],
    said: str,
    weights_file: Path,
    digits_dataset: FetchedDataset,
    novelty_model: NoveltyModel,
) -> None:
    h5py = pytest.importorskip("h5py")
    secret = weights_file.with_name("secret.bin")
    secret.write_bytes(SECRET)
    with h5py.File(weights_file, "r+") as file:
        group = kernel(file)
        del group["0"]
        attack(h5py, group, secret)

    refuse_archive(pack(weights_file), digits_dataset, novelty_model, f"is refused: .*{said}")


def test_a_changed_archive_is_refused_before_keras_sees_it(
    tmp_path: Path, digits_dataset: FetchedDataset, novelty_model: NoveltyModel
) -> None:
    path = tmp_path / "model.keras"
    small_model().save(path)
    trained = handle(path)
    path.write_bytes(path.read_bytes() + b"\0")

    with pytest.raises(IntegrityError, match=r"model\.keras has SHA-256"):
        export_model(ExportConfig(), digits_dataset, trained, novelty_model, RunDirectory(tmp_path))


# --- the ONNX model says something else than the Keras model


@pytest.mark.parametrize(("change", "answers_move"), [(7e-5, False), (100.0, True)])
def test_one_perturbed_weight_stops_the_export_and_leaves_nothing(
    change: float,
    answers_move: bool,
    tmp_path: Path,
    digits_dataset: FetchedDataset,
    monkeypatch: pytest.MonkeyPatch,
    novelty_model: NoveltyModel,
) -> None:
    path = tmp_path / "model.keras"
    small_model().save(path)
    (tmp_path / "history.json").write_text(linear_models.history(287).model_dump_json())
    monkeypatch.setattr(mnist_pipeline.export.step, "convert", lambda *given: perturbed(convert(*given), change))

    with pytest.raises(ExportError, match=r"differs .* 1,000 train images: by up to \S+ .*accepted: 1e-05") as caught:
        export_model(ExportConfig(), digits_dataset, handle(path), novelty_model, RunDirectory(tmp_path))

    moved = not str(caught.value).endswith("in the digit of 0; no model was written")
    assert moved == answers_move
    assert sorted(file.name for file in tmp_path.iterdir()) == ["history.json", "model.keras"]


def perturbed(model: onnx.ModelProto, change: float) -> onnx.ModelProto:
    tensor = next(tensor for tensor in model.graph.initializer if list(tensor.dims) == [784, 10])
    values = numpy_helper.to_array(tensor).copy()
    values[14 * 28 + 14, 1] += change  # a pixel in the middle, where digits have ink
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return model


# --- no GPU


def test_without_a_gpu_auto_records_the_cpu_and_gpu_fails(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(build_model().SerializeToString())
    code = """
        import sys
        from pathlib import Path
        from mnist_pipeline.errors import DeviceError
        from mnist_pipeline.inference import Classifier
        path = Path(sys.argv[1])
        classifier = Classifier.load(path, device="auto")
        print(classifier.device, classifier.provider)
        try:
            Classifier.load(path, device="gpu")
        except DeviceError as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(path)],
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    lines = done.stdout.splitlines()
    assert lines[0] == "cpu CPUExecutionProvider"
    assert lines[1].startswith("device gpu: onnxruntime cannot use CUDA here: ")
    assert DeviceError.exit_code == 1
    assert (done.stderr, done.returncode) == ("", 0)
