"""A real, small model: softmax regression on scikit-learn's digits, as an ONNX file to the contract."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from typer.testing import CliRunner

from mnist_pipeline.cli import app
from mnist_pipeline.data.digits import load_embedded_digits
from mnist_pipeline.files import sha256_file
from mnist_pipeline.inference import ModelMetadata

CLASS_NAMES = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")


@dataclass(frozen=True)
class Digits:
    """Images uint8 [n, 28, 28] in the sprite's form, and their digits."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]


@dataclass(frozen=True)
class Model:
    path: Path
    sha256: str


@pytest.fixture(scope="session")
def digits() -> Digits:
    return Digits(*load_embedded_digits())


@pytest.fixture(scope="session")
def model(digits: Digits, tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    onnx.save(softmax_regression(digits), path)
    return Model(path, sha256_file(path))


def softmax_regression(digits: Digits) -> onnx.ModelProto:
    pixels = digits.images.reshape(len(digits.images), -1) / 255
    targets = 2 * np.eye(10)[digits.labels] - 1
    weights = np.linalg.solve(pixels.T @ pixels + np.eye(784), pixels.T @ targets)
    constants = {
        "scale": np.float32(1 / 255),
        "shape": np.array([-1, 784], np.int64),
        "weights": (6 * weights).astype(np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["images"], ["grey"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["grey", "scale"], ["ink"]),
        helper.make_node("Reshape", ["ink", "shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", 28, 28])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 10])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    metadata = ModelMetadata(
        class_names=CLASS_NAMES, dataset="digits", dataset_digest="0" * 64, run_id="r", preset="p", frameworks={}
    )
    helper.set_model_props(model, metadata.to_props())
    return model


def png(image: NDArray[np.uint8] | Image.Image) -> bytes:
    out = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(out, "PNG")
    return out.getvalue()


MakeFolder = Callable[[int], Path]


@pytest.fixture
def make_folder(digits: Digits, tmp_path: Path) -> MakeFolder:
    """A folder of so many digits as PNG files, in sub-folders by digit."""

    def make(count: int) -> Path:
        folder = tmp_path / "images"
        for number in range(count):
            path = folder / str(digits.labels[number]) / f"{number:05d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(digits.images[number]))
        return folder

    return make


class Command:
    """The command `score` with the small model."""

    def __init__(self, model: Model) -> None:
        self._words = ["score", "--model", str(model.path), "--workers", "1", "--min-confidence", "0"]

    def __call__(self, *words: object, code: int = 0, **options: Any) -> str:
        """Run it; standard error, after a look at how it ended."""
        return self._run(words, code, options).stderr

    def output(self, *words: object, code: int = 0, **options: Any) -> str:
        """Run it; standard output."""
        return self._run(words, code, options).stdout

    def _run(self, words: tuple[object, ...], code: int, options: dict[str, Any]) -> Any:
        done = CliRunner().invoke(app, [*self._words, *map(str, words)], **options)
        assert done.exit_code == code, done.output
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done

    def refused(self, *words: object, code: int = 2, **options: Any) -> str:
        """Run it; the one line that says why it did not start."""
        lines = self(*words, code=code, **options).splitlines()
        assert len(lines) == 1, lines
        return lines[0].removeprefix("error: ")


@pytest.fixture
def score(model: Model) -> Command:
    return Command(model)
