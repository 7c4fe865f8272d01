"""The classifier: what it answers, what it refuses, and where it runs."""

import json
import platform
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from mnist_pipeline.errors import DeviceError, IntegrityError, UsageError
from mnist_pipeline.files import sha256_bytes
from mnist_pipeline.inference import Classifier, ModelMetadata, gpu_problem, sessions
from mnist_pipeline.inference.classifier import GPU_BATCH
from tests.support import gpu_stand_in, linear_models

METADATA = ModelMetadata(
    class_names=("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine"),
    dataset="digits",
    dataset_digest="d" * 64,
    run_id="20260101-000000-abcdef",
    preset="codelab",
    frameworks={"keras": "3.15.1"},
)
WEIGHTS = np.random.default_rng(7).normal(size=(784, 10)).astype(np.float32) / 8
no_gpu_here = pytest.mark.skipif(gpu_problem() is None, reason="CUDA works on this machine")
TESTS = Path(__file__).parent


def linear_model(**changes: Any) -> onnx.ModelProto:
    """softmax(images / 255 @ WEIGHTS); ``changes`` replace the stated input, output or metadata."""
    model = onnx.load_from_string(linear_models.onnx_bytes(WEIGHTS, METADATA))
    for name, values in (("input", model.graph.input), ("output", model.graph.output)):
        if name in changes:
            values[0].CopyFrom(changes[name])
    if "metadata" in changes:
        del model.metadata_props[:]
        helper.set_model_props(model, changes["metadata"])
    return model


def random_images(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, 28, 28), dtype=np.uint8)


@pytest.fixture(scope="module")
def model_bytes() -> bytes:
    return linear_model().SerializeToString()


@pytest.fixture(scope="module")
def classifier(model_bytes: bytes) -> Classifier:
    return Classifier.load(model_bytes, device="cpu")


def test_probabilities_are_those_of_the_network(classifier: Classifier) -> None:
    images = random_images(33)
    logits = (images.reshape(-1, 784) / 255.0) @ WEIGHTS.astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)

    found = classifier.probabilities(images, batch_size=8)

    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_a_file_and_its_bytes_make_the_same_classifier(tmp_path: Path, model_bytes: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(model_bytes)
    digest = sha256_bytes(model_bytes)

    classifier = Classifier.load(path, sha256=digest, device="cpu", threads=1, spinning=False)

    assert classifier.sha256 == digest
    assert classifier.metadata == METADATA
    assert (classifier.provider, classifier.device) == ("CPUExecutionProvider", "cpu")


@settings(max_examples=25, deadline=None)
@given(count=st.integers(0, 70), batch_size=st.integers(1, 80))
def test_the_batch_size_does_not_move_an_answer(classifier: Classifier, count: int, batch_size: int) -> None:
    images = random_images(count)

    found = classifier.probabilities(images, batch_size)

    assert found.shape == (count, 10)
    np.testing.assert_allclose(found, classifier.probabilities(images, 65_536), atol=1e-6, rtol=0)


@pytest.fixture(scope="module")
def with_novelty() -> Classifier:
    """Whose novelty is a logarithm for each image, as the real one is."""
    model = onnx.load_from_string(linear_models.onnx_bytes(WEIGHTS, METADATA, novelty=True))
    [corner] = [tensor for tensor in model.graph.initializer if tensor.name == "corner"]
    corner.CopyFrom(numpy_helper.from_array(WEIGHTS[:, :1], "corner"))
    [at] = [place for place, node in enumerate(model.graph.node) if list(node.output) == ["bright"]]
    model.graph.node[at].output[0] = "evidence"
    model.graph.node.insert(at + 1, helper.make_node("Abs", ["evidence"], ["strength"]))
    model.graph.node.insert(at + 2, helper.make_node("Log", ["strength"], ["bright"]))
    return Classifier.load(model.SerializeToString(), device="cpu", threads=1)


@pytest.mark.skipif(platform.machine() not in {"x86_64", "AMD64"}, reason="measured on x86-64")
def test_an_image_alone_gets_the_novelty_that_it_gets_among_others_to_the_last_bit(with_novelty: Classifier) -> None:
    images = random_images(1_000)
    together = with_novelty.answers(images, 64)
    for batch_size in (1, 2, 3, 5, 7, 250, 1_000):
        found = with_novelty.answers(images, batch_size)
        np.testing.assert_array_equal(found.novelty, together.novelty)
        np.testing.assert_array_equal(found.probabilities, together.probabilities)


def test_views_and_memory_mapped_files_are_read_as_they_are(tmp_path: Path, classifier: Classifier) -> None:
    images = random_images(20)
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")

    np.testing.assert_array_equal(classifier.probabilities(mapped, 7), classifier.probabilities(images, 7))
    np.testing.assert_array_equal(classifier.probabilities(images[::-2]), classifier.probabilities(images[::-2].copy()))


def test_calls_from_many_threads_do_not_mix(classifier: Classifier) -> None:
    sets = [random_images(count) for count in range(1, 25)]
    expected = [classifier.probabilities(images) for images in sets]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(classifier.probabilities, sets))

    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (np.zeros((2, 28, 28), np.float32), r"found float32 \[2, 28, 28\]"),
        (np.zeros((2, 784), np.uint8), r"found uint8 \[2, 784\]"),
        (np.zeros((28, 28), np.uint8), r"found uint8 \[28, 28\]"),
        (np.zeros((2, 28, 28, 1), np.uint8), r"found uint8 \[2, 28, 28, 1\]"),
        ([[0] * 28] * 28, "found list"),
    ],
)
def test_other_arrays_are_refused_by_what_they_are(classifier: Classifier, images: np.ndarray, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        classifier.probabilities(images)


@pytest.mark.parametrize("batch_size", [0, -1, 65_537])
def test_a_batch_size_out_of_range_is_a_usage_error(classifier: Classifier, batch_size: int) -> None:
    with pytest.raises(UsageError, match=f"found {batch_size}"):
        classifier.probabilities(random_images(1), batch_size)


def test_no_threads_is_a_usage_error(model_bytes: bytes) -> None:
    with pytest.raises(UsageError, match="found 0"):
        Classifier.load(model_bytes, threads=0)


def test_another_digest_is_refused_with_both_digests(model_bytes: bytes) -> None:
    with pytest.raises(IntegrityError, match=f"has SHA-256 {sha256_bytes(model_bytes)}, expected {'0' * 64}"):
        Classifier.load(model_bytes, sha256="0" * 64)


@pytest.mark.parametrize(
    ("part", "name", "kind", "shape", "said"),
    [
        ("input", "images", TensorProto.FLOAT, ["N", 28, 28], r"images FLOAT \[N, 28, 28\], expected images UINT8"),
        ("input", "images", TensorProto.UINT8, ["N", 784], r"images UINT8 \[N, 784\], expected images UINT8 \[N, 28"),
        ("input", "images", TensorProto.UINT8, [1, 28, 28], r"images UINT8 \[1, 28, 28\], expected"),
        ("output", "probabilities", TensorProto.FLOAT, ["N", 11], r"probabilities FLOAT \[N, 11\], expected"),
        ("output", "probabilities", TensorProto.DOUBLE, ["N", 10], r"probabilities DOUBLE \[N, 10\], expected"),
        ("output", "logits", TensorProto.FLOAT, ["N", 10], r"logits FLOAT \[N, 10\], expected probabilities FLOAT"),
    ],
)
def test_another_contract_is_refused_with_what_was_found(
    part: str, name: str, kind: int, shape: list[str | int], said: str
) -> None:
    model = linear_model(**{part: helper.make_tensor_value_info(name, kind, shape)})
    with pytest.raises(IntegrityError, match=said):
        Classifier.load(model.SerializeToString())


def test_a_second_input_is_refused() -> None:
    model = linear_model()
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))
    with pytest.raises(IntegrityError, match="more FLOAT"):
        Classifier.load(model.SerializeToString())


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"class_names": None}, "does not state its class_names"),
        ({"class_names": json.dumps(["Zero", "One"])}, "names 2 classes, expected 10"),
        ({"class_names": "Zero, One"}, "metadata of the model file is broken"),
        ({"frameworks": "[" * 100_000}, "metadata of the model file is broken"),
        ({"frameworks": json.dumps({"keras": 3})}, "metadata of the model file is broken"),
    ],
)
def test_a_file_that_does_not_say_what_it_is_is_refused(changed: dict[str, str | None], said: str) -> None:
    props = {key: text for key, text in (METADATA.to_props() | changed).items() if text is not None}
    with pytest.raises(IntegrityError, match=said):
        Classifier.load(linear_model(metadata=props).SerializeToString())


@settings(max_examples=50)
@given(
    names=st.lists(st.text(), min_size=10, max_size=10),
    texts=st.lists(st.text(), min_size=4, max_size=4),
    frameworks=st.dictionaries(st.text(), st.text()),
)
def test_metadata_survives_the_way_into_a_file_and_back(
    names: list[str], texts: list[str], frameworks: dict[str, str]
) -> None:
    dataset, digest, run_id, preset = texts
    metadata = ModelMetadata(
        class_names=tuple(names),
        dataset=dataset,
        dataset_digest=digest,
        run_id=run_id,
        preset=preset,
        frameworks=frameworks,
    )
    assert ModelMetadata.from_props(metadata.to_props()) == metadata


@no_gpu_here
def test_asking_for_a_gpu_that_is_not_there_fails_at_once_and_says_why(model_bytes: bytes) -> None:
    with pytest.raises(DeviceError, match=r"onnxruntime cannot use CUDA here: .+; use device auto or cpu"):
        Classifier.load(model_bytes, device="gpu")


@no_gpu_here
def test_a_provider_that_does_not_load_after_all_is_noticed(
    model_bytes: bytes, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A driver and a GPU are there, but onnxruntime cannot load its CUDA provider: it takes the CPU unasked."""
    monkeypatch.setattr("mnist_pipeline.inference.sessions.gpu_problem", lambda: None)

    assert Classifier.load(model_bytes, device="auto").provider == "CPUExecutionProvider"
    with pytest.raises(DeviceError, match="the CUDA provider did not load"):
        Classifier.load(model_bytes, device="gpu")
    assert capfd.readouterr().err == ""


def run_python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@no_gpu_here
def test_auto_takes_the_cpu_in_silence_and_without_tensorflow(tmp_path: Path, model_bytes: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(model_bytes)

    done = run_python(
        """
        import sys
        from pathlib import Path
        import numpy as np
        from mnist_pipeline.inference import Classifier
        classifier = Classifier.load(Path(sys.argv[1]))
        classifier.probabilities(np.zeros((1, 28, 28), np.uint8))
        heavy = {"tensorflow", "keras", "tf2onnx", "prefect"} & set(sys.modules)
        print(classifier.provider, sorted(heavy))
        """,
        path,
    )

    assert (done.stdout, done.stderr, done.returncode) == ("CPUExecutionProvider []\n", "", 0)


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS binds on Linux alone")
def test_a_batch_that_does_not_fit_into_memory_is_halved(tmp_path: Path, model_bytes: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(model_bytes)

    done = run_python(
        """
        import logging, resource, sys
        from pathlib import Path
        import numpy as np
        from mnist_pipeline.inference import Classifier
        logging.basicConfig(format="%(message)s", stream=sys.stdout)
        classifier = Classifier.load(Path(sys.argv[1]), device="cpu", threads=1)
        images = np.random.default_rng(0).integers(0, 256, (60_000, 28, 28), dtype=np.uint8)
        expected = classifier.probabilities(images, 500)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        limit = used + 120 * 2**20  # one batch of 60,000 needs 188 MB for its float32 pixels alone
        before = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
        found = classifier.probabilities(images, 60_000)
        resource.setrlimit(resource.RLIMIT_AS, before)
        print(np.allclose(found, expected, rtol=0, atol=1e-6))
        """,
        path,
    )

    assert "a batch of 60000 images does not fit into the memory of the cpu: going on with half" in done.stdout
    assert done.stdout.endswith("True\n"), done
    assert (done.stderr, done.returncode) == ("", 0)


def test_a_gpu_is_never_given_more_images_at_once_than_it_has_room_for(
    model_bytes: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def open_on_cuda(data: bytes, threads: int | None, spinning: bool) -> tuple[object, None]:
        session = sessions._create_session(data, [sessions.CPU], threads, spinning)
        return gpu_stand_in.Session(session, asked.append), None

    monkeypatch.setattr(sessions, "gpu_problem", lambda: None)
    monkeypatch.setattr(sessions, "_open_on_cuda", open_on_cuda)
    on_gpu, on_cpu = Classifier.load(model_bytes, device="gpu"), Classifier.load(model_bytes, device="cpu")
    on_gpu.reserve()
    assert set(asked) == {GPU_BATCH}
    asked.clear()
    images = np.random.default_rng(0).integers(0, 256, (2 * GPU_BATCH + 1, 28, 28), np.uint8)
    assert np.array_equal(on_gpu.probabilities(images, 10_000), on_cpu.probabilities(images, 10_000))
    assert asked == [GPU_BATCH, GPU_BATCH, 1]
