"""What travels between steps: handles of files (folder, names, SHA-256) and a few numbers.

Arrays and models stay on disk. Each step returns one of these; the flow passes it on, the
run's record keeps it, and a later run trusts it only after ``verify``.
"""

from pathlib import Path
from typing import ClassVar, Self

from mnist_pipeline import UsedDevice
from mnist_pipeline.errors import IntegrityError
from mnist_pipeline.files import sha256_file
from mnist_pipeline.schema import Record
from mnist_pipeline.workspace import MODEL_KERAS, MODEL_ONNX


class Output(Record):
    """Files that a step wrote, and what it says of them.

    Attributes:
        directory: the folder that holds the files.
        files: name relative to ``directory`` -> hex SHA-256 of its bytes.
    """

    step: ClassVar[str]
    """The step that returns it."""

    directory: Path
    files: dict[str, str]

    @staticmethod
    def digests(*paths: Path) -> dict[str, str]:
        """``files`` of an output that consists of ``paths``, which lie in one folder."""
        return {path.name: sha256_file(path) for path in paths}

    @property
    def identity(self) -> dict[str, str]:
        """What a later step's result depends on: all files, unless a subclass knows better."""
        return self.files

    def verify(self) -> Self:
        """Return self.

        Raises:
            IntegrityError: a file is missing or its bytes changed; names the first one.
        """
        for name, expected in self.files.items():
            path = self.directory / name
            if not path.is_file():
                raise IntegrityError(f"{path} is missing; run the step that writes it again")
            if (found := sha256_file(path)) != expected:
                raise IntegrityError(f"{path} has SHA-256 {found}, recorded was {expected}; run its step again")
        return self


class FetchedDataset(Output):
    """A decoded dataset: images.npy, labels.npy, dataset.json."""

    step = "fetch"

    name: str
    digest: str
    """Hex SHA-256 that identifies pixels, labels and split."""
    train_rows: int
    test_rows: int
    source: str
    """Where the bytes came from."""
    fallback: bool = False
    """The embedded digits stand in for a dataset that could not be reached."""
    reused: bool = False
    """The decoded files were there already, and were verified."""

    @property
    def identity(self) -> dict[str, str]:
        return {"dataset": self.name, "digest": self.digest}


OWN_TEST = "own_test.zip"


class ExtraImages(Output):
    """Own labelled images: images.npy and labels.npy join the train rows, own_test.zip is measured; extra.json."""

    step = "collect"

    digest: str
    """Hex SHA-256 that identifies pixels and labels."""
    images: int
    source: str
    """Where they came from."""
    own_test: int = 0
    """Own images that are never fitted, in own_test.zip."""
    own_test_digest: str | None = None
    """Hex SHA-256 that identifies these and their labels; None without images."""

    @property
    def identity(self) -> dict[str, str]:
        return {"extra_images": self.digest}

    @property
    def own_test_archive(self) -> Path | None:
        """The own-test images; None without such images."""
        return self.directory / OWN_TEST if self.own_test else None


class TrainedModel(Output):
    """A trained Keras model: model.keras, history.json."""

    step = "train"

    preset: str
    parameters: int
    device: UsedDevice
    best_epochs: list[int]
    """Of each member the 1-based epoch whose weights were kept."""
    epochs: int
    """Finished epochs."""
    validation_accuracy: float | None
    weights_sha256: str
    """Digest of the weight values alone; equal for equal weights."""
    extra_images: int = 0
    """Images of one's own that were fitted besides the train rows."""
    extra_images_digest: str | None = None
    """`ExtraImages.digest` of these; None where there were none."""

    @property
    def path(self) -> Path:
        return self.directory / MODEL_KERAS

    @property
    def identity(self) -> dict[str, str]:
        return {"preset": self.preset, "weights": self.weights_sha256}


class NoveltyModel(Output):
    """The trained network that knows what is no digit: novelty.keras, novelty.json."""

    step = "novelty"

    samples: int
    """Pictures that it was fitted on."""
    parameters: int
    weights_sha256: str
    """Digest of the weight values alone; equal for equal weights."""

    @property
    def identity(self) -> dict[str, str]:
        return {"novelty": self.weights_sha256}


class ExportedModel(Output):
    """A proven ONNX model: model.onnx, parity.json."""

    step = "export"

    opset: int
    max_abs_difference: float
    """Largest absolute difference of a probability between Keras and onnxruntime."""

    @property
    def path(self) -> Path:
        return self.directory / MODEL_ONNX

    @property
    def sha256(self) -> str:
        return self.files[MODEL_ONNX]

    @property
    def identity(self) -> dict[str, str]:
        return {MODEL_ONNX: self.sha256}


class EvaluatedModel(Output):
    """Measurements on the test rows: evaluation.json, evaluation.csv, predictions.npy."""

    step = "evaluate"

    accuracy: float
    samples: int
    provider: str
    """The onnxruntime provider that really ran."""


class PublishedModel(Output):
    """How a candidate ended: the run's report, gate.json and comparison.json, and the version in the registry."""

    step = "publish"

    model: str
    version: str
    promoted: bool
    """The champion's alias moved to this version in this run."""
    reasons: list[str]
    """Why the gate refused; empty where it did not."""


STEPS = tuple(
    kind.step for kind in (FetchedDataset, TrainedModel, NoveltyModel, ExportedModel, EvaluatedModel, PublishedModel)
)
"""Of every run, in their order; where there are own images, `ExtraImages` are collected after the first."""
