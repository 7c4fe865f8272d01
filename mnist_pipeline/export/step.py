"""The export step: reads model.keras and train images, writes model.onnx and parity.json."""

import logging
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.config import ExportConfig
from mnist_pipeline.data.dataset import Dataset
from mnist_pipeline.errors import ExportError, IntegrityError
from mnist_pipeline.export.backend import framework_versions
from mnist_pipeline.export.canonical import canonical_bytes, fold_reshapes
from mnist_pipeline.export.conversion import NOVELTY_OUTPUT, NetworkAnswers, convert, load_keras_model, predict
from mnist_pipeline.files import write_bytes, write_json
from mnist_pipeline.inference import Classifier, ModelMetadata, check_model_is_safe
from mnist_pipeline.inference.contract import compare
from mnist_pipeline.rejection.limits import choose_limits
from mnist_pipeline.runs.artifacts import ExportedModel, FetchedDataset, NoveltyModel, TrainedModel
from mnist_pipeline.runs.parity import Parity
from mnist_pipeline.runs.training_history import TrainingHistory
from mnist_pipeline.workspace import RunDirectory

if TYPE_CHECKING:
    from onnx import ModelProto

NOVELTY_TOLERANCE = 1e-3
"""Largest accepted difference of a log-odds; they are of the size of ten."""
logger = logging.getLogger(__name__)


def export_model(
    config: ExportConfig, dataset: FetchedDataset, trained: TrainedModel, novelty: NoveltyModel, run: RunDirectory
) -> ExportedModel:
    """Write both networks as one ONNX model, once it is proven to say what the Keras models say.

    The limits of an answer are chosen on the validation rows, and stand in the file. The proof runs on
    ``config.parity_images`` train images (all, where there are fewer), never on test rows. Equal weights and
    metadata give equal bytes.

    Raises:
        ExportError: the model cannot be expressed within the contract, or answers differently; nothing is written.
        IntegrityError: a .keras file is not the one that the training wrote, or must not be loaded.
        MissingExtraError: TensorFlow or tf2onnx is not installed.
    """
    model_keras = trained.verify().path
    novelty_keras = novelty.verify().directory / run.novelty_keras.name
    networks = load_keras_model(model_keras), load_keras_model(novelty_keras, NOVELTY_OUTPUT)
    history = TrainingHistory.model_validate_json((trained.directory / run.history.name).read_bytes())
    data = Dataset.open(dataset.directory, train_rows=config.parity_images, validation_rows=history.validation_rows)
    onnx_bytes = with_limits(config, convert(*networks, config.opset), data, describe(data, trained, run))
    images = data.train.images
    parity = prove(config, onnx_bytes, images, predict(*networks, images), trained.files[model_keras.name])
    write_bytes(run.model_onnx, onnx_bytes)
    write_json(run.parity, parity.model_dump(mode="json"))
    logger.info("exported %s: %d nodes, %d bytes", run.model_onnx, parity.nodes, parity.bytes)
    return ExportedModel(
        directory=run.path,
        files=ExportedModel.digests(run.model_onnx, run.parity),
        opset=config.opset,
        max_abs_difference=parity.max_abs_difference,
    )


def describe(dataset: Dataset, trained: TrainedModel, run: RunDirectory) -> ModelMetadata:
    """What the file will say of itself, but for the limits of its answers."""
    return ModelMetadata(
        class_names=dataset.class_names,
        dataset=dataset.name,
        dataset_digest=dataset.digest,
        run_id=run.id,
        preset=trained.preset,
        frameworks=framework_versions(),
    )


def with_limits(config: ExportConfig, converted: "ModelProto", data: Dataset, metadata: ModelMetadata) -> bytes:
    """The bytes of model.onnx, whose metadata state the limits that the validation rows give.

    Raises:
        ExportError: the model breaks the contract.
    """
    without = to_bytes(converted, config.opset, metadata)
    validation = data.validation
    if not len(validation):
        return without
    answers = _ask(Classifier.load(without, device="cpu"), validation.images)
    limits = choose_limits(validation.labels, answers.probabilities, answers.novelty, config.false_reject_rate)
    return to_bytes(converted, config.opset, metadata.model_copy(update={"limits": limits}))


def _ask(classifier: Classifier, images: NDArray[np.uint8]) -> NetworkAnswers:
    probabilities, novelty = classifier.answers(images)
    if novelty is None:
        raise ExportError("the converted model has no novelty output")
    return NetworkAnswers(probabilities, novelty)


def to_bytes(converted: "ModelProto", opset: int, metadata: ModelMetadata) -> bytes:
    """A converted model as the bytes of model.onnx, checked against the contract.

    Raises:
        ExportError: the model cannot be expressed within the contract.
    """
    from onnx import checker

    data = canonical_bytes(fold_reshapes(converted), opset, metadata.to_props())
    try:
        check_model_is_safe(data)
        checker.check_model(data, full_check=True)
    except (IntegrityError, checker.ValidationError) as error:
        raise ExportError(f"the converted model breaks the contract: {error}") from error
    return data


def prove(
    config: ExportConfig,
    onnx_bytes: bytes,
    images: NDArray[np.uint8],
    expected: NetworkAnswers,
    keras_sha256: str,
) -> Parity:
    """That onnxruntime says of the images, uint8 [n, 28, 28], what Keras said: ``expected``.

    Raises:
        ExportError: it says something else; by how much.
    """
    from onnx import ModelProto

    classifier = Classifier.load(onnx_bytes, device="cpu")
    found = compare(expected.probabilities, classifier.probabilities(images))
    if found.max_abs_difference > config.parity_tolerance or found.argmax_differences:
        raise ExportError(
            f"the ONNX model differs from the Keras model on {found.images:,} train images: by up to "
            f"{found.max_abs_difference:.3g} in a probability (accepted: {config.parity_tolerance:g}), "
            f"and in the digit of {found.argmax_differences}; no model was written"
        )
    difference = float(np.abs(expected.novelty - _ask(classifier, images).novelty).max())
    if difference > NOVELTY_TOLERANCE:
        raise ExportError(
            f"the ONNX model's novelty differs from the Keras model's by up to {difference:.3g} "
            f"(accepted: {NOVELTY_TOLERANCE:g}); no model was written"
        )
    return Parity(
        **found._asdict(),
        tolerance=config.parity_tolerance,
        passed=True,
        provider=classifier.provider,
        opset=config.opset,
        nodes=len(ModelProto.FromString(onnx_bytes).graph.node),
        bytes=len(onnx_bytes),
        model_sha256=classifier.sha256,
        keras_sha256=keras_sha256,
    )
