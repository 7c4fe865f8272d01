"""Evaluation: what is written about a real model on real test rows, and what is refused."""

import csv
import json
import shutil
from typing import NamedTuple

import numpy as np
import pytest

from mnist_pipeline.config import EvaluateConfig, FetchConfig
from mnist_pipeline.data.dataset import Dataset
from mnist_pipeline.data.fetch import fetch_dataset
from mnist_pipeline.errors import DataError, DeviceError, ExportError, IntegrityError
from mnist_pipeline.evaluation.evaluate import LATENCY_CALLS, evaluate_model, examples, predict, time_calls
from mnist_pipeline.evaluation.schema import Evaluation
from mnist_pipeline.inference import AnswerLimits, Answers, gpu_problem
from mnist_pipeline.progress import Progress
from mnist_pipeline.runs.artifacts import EvaluatedModel, ExportedModel, FetchedDataset
from mnist_pipeline.workspace import RunDirectory, Workspace
from tests.support import linear_models

"""A fifth of the 1,437 train rows of the digits: as many as can be held out."""
no_gpu_here = pytest.mark.skipif(gpu_problem() is None, reason="CUDA works on this machine")

LIMITS = AnswerLimits(confidence=0.3, novelty=1.0, sure=0.8, turned_away=0.02, rows=287)


class Evaluated(NamedTuple):
    weights: np.ndarray
    exported: ExportedModel
    run: RunDirectory
    result: EvaluatedModel
    evaluation: Evaluation
    progress: list[Progress]
    data: Dataset


@pytest.fixture(scope="module")
def done(digits_dataset: FetchedDataset, tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    """One evaluation of a model that gets about nine of ten digits right."""
    data = Dataset.open(digits_dataset.directory)
    weights = linear_models.fit(data.train.images, data.train.labels, 20)
    folder = tmp_path_factory.mktemp("runs") / "one"
    run, exported = linear_models.export(weights, digits_dataset, folder, limits=LIMITS)
    progress: list[Progress] = []
    config = EvaluateConfig(device="cpu", batch_size=100)
    result = evaluate_model(config, digits_dataset, exported, run, progress.append)
    evaluation = Evaluation.model_validate_json(run.evaluation_json.read_bytes())
    return Evaluated(weights, exported, run, result, evaluation, progress, data)


def test_the_file_says_what_the_predictions_are_worth(done):
    labels, found = done.data.test.labels, done.evaluation
    expected = linear_models.predict(done.weights, done.data.test.images)
    answers = expected.argmax(axis=1)
    correct = int((answers == labels).sum())

    assert 0.8 < correct / 360 < 0.95
    assert (found.correct, found.samples, found.accuracy) == (correct, 360, correct / 360)
    assert found.accuracy_interval.low < found.accuracy < found.accuracy_interval.high
    assert found.log_loss == pytest.approx(-np.log(expected[np.arange(360), labels]).mean(), rel=1e-4)
    for label, row in enumerate(found.confusion_matrix):
        assert row == np.bincount(answers[labels == label], minlength=10).tolist()
    assert [row.samples for row in found.per_class] == np.bincount(labels).tolist()
    assert [row.accuracy for row in found.per_class] == [
        pytest.approx((answers[labels == label] == label).mean()) for label in range(10)
    ]
    assert len(found.mistakes) == 360 - correct
    assert sum(one.count for one in found.reliability) == 360
    assert found.coverage[0].accuracy == found.accuracy


def test_the_file_keeps_the_contract_that_scripts_rely_on(done, digits_dataset):
    found = json.loads(done.run.evaluation_json.read_bytes())

    assert set(found) >= {"accuracy", "samples", "provider", "per_class", "confusion_matrix"}
    assert found["provider"] == "CPUExecutionProvider"
    assert found["model_sha256"] == done.exported.sha256
    assert found["dataset_digest"] == digits_dataset.digest
    assert (found["dataset"], found["fallback"], found["device"]) == ("digits", False, "cpu")
    assert set(found["per_class"][0]) == {"label", "name", "samples", "accuracy", "precision", "recall", "f1"}
    assert [row["name"] for row in found["per_class"]] == [
        *("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
    ]


def test_the_predictions_are_stored_as_they_were_made(done):
    stored = np.load(done.run.predictions, allow_pickle=False)

    assert (stored.dtype, stored.shape) == (np.float32, (360, 10))
    np.testing.assert_allclose(stored, linear_models.predict(done.weights, done.data.test.images), atol=1e-5)


def test_the_handle_holds_the_written_files(done):
    assert done.result.verify() is done.result
    assert set(done.result.files) == {"evaluation.json", "evaluation.csv", "predictions.npy"}
    assert (done.result.accuracy, done.result.samples) == (done.evaluation.accuracy, 360)
    assert done.result.provider == "CPUExecutionProvider"


def test_every_test_row_is_predicted_once_in_batches(done):
    told = [(one.activity, one.done, one.total, one.unit) for one in done.progress]
    assert told == [("evaluate", count, 360, "images") for count in (100, 200, 300, 360)]


def test_the_table_has_a_row_a_class_and_a_last_one_for_all(done):
    rows = list(csv.DictReader(done.run.evaluation_csv.read_text().splitlines()))

    assert list(rows[0]) == ["label", "name", "samples", "accuracy", "precision", "recall", "f1"]
    for row, expected in zip(rows, done.evaluation.per_class, strict=False):
        assert (row["label"], row["name"], row["samples"]) == (
            str(expected.label),
            expected.name,
            str(expected.samples),
        )
        figures = ("accuracy", "precision", "recall", "f1")
        assert [float(row[name]) for name in figures] == [getattr(expected, name) for name in figures]
    assert len(rows) == 11
    assert (rows[10]["label"], rows[10]["name"], rows[10]["samples"]) == ("all", "all", "360")
    assert float(rows[10]["accuracy"]) == done.evaluation.accuracy
    assert float(rows[10]["f1"]) == pytest.approx(np.mean([row.f1 for row in done.evaluation.per_class]))


def test_what_the_models_own_limits_do_to_the_test_rows_is_measured(done):
    labels = done.data.test.labels
    expected = linear_models.predict(done.weights, done.data.test.images)
    right = expected.argmax(axis=1) == labels
    refused = expected.max(axis=1) < LIMITS.confidence  # no test image has a bright corner

    found = done.evaluation.rejection

    assert found is not None
    assert found.limits == LIMITS
    assert 0 < found.false_reject_rate == pytest.approx(refused[right].mean())
    assert 0 < found.wrong_answers_kept == (~refused & ~right).sum() < (~right).sum()


def test_a_strange_image_is_refused_unless_its_answer_is_sure(done, digits_dataset, tmp_path):
    elsewhere = shutil.copytree(digits_dataset.directory, tmp_path / "data")
    images = np.load(elsewhere / "images.npy")
    images[1_437:, 0, 0] = 255
    np.save(elsewhere / "images.npy", images)
    run, exported = linear_models.export(done.weights, digits_dataset, tmp_path / "run", limits=LIMITS)

    dataset = digits_dataset.model_copy(update={"directory": elsewhere})
    evaluate_model(EvaluateConfig(device="cpu"), dataset, exported, run)

    answers = linear_models.predict(done.weights, images[1_437:])
    right, confidence = answers.argmax(axis=1) == done.data.test.labels, answers.max(axis=1)
    found = Evaluation.model_validate_json(run.evaluation_json.read_bytes()).rejection
    assert found is not None
    assert found.false_reject_rate == pytest.approx((confidence[right] < LIMITS.sure).mean())
    assert 0.1 < found.false_reject_rate < 0.9


def test_a_model_that_states_no_limits_has_none_measured(done, digits_dataset, tmp_path):
    run, exported = linear_models.export(done.weights, digits_dataset, tmp_path / "run")

    evaluate_model(EvaluateConfig(device="cpu"), digits_dataset, exported, run)

    assert Evaluation.model_validate_json(run.evaluation_json.read_bytes()).rejection is None


def test_a_stand_in_dataset_is_called_one(done, digits_dataset, tmp_path):
    run, exported = linear_models.export(done.weights, digits_dataset, tmp_path / "run")

    stand_in = digits_dataset.model_copy(update={"fallback": True})
    evaluate_model(EvaluateConfig(device="cpu"), stand_in, exported, run)

    assert Evaluation.model_validate_json(run.evaluation_json.read_bytes()).fallback


def test_the_latency_is_measured_at_three_batch_sizes(done):
    assert [one.batch for one in done.evaluation.latency] == [1, 32, 1_024]
    for one in done.evaluation.latency:
        assert 1 <= one.calls <= LATENCY_CALLS
        assert 0 < one.median_ms <= one.p95_ms


class Timed:
    """Stands where a classifier stands, and keeps the shapes of its calls."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def probabilities(self, images: np.ndarray, batch_size: int) -> None:
        assert batch_size == len(images)
        self.shapes.append(images.shape)


def test_a_call_is_timed_with_whole_batches_even_where_the_test_rows_are_fewer(monkeypatch):
    monkeypatch.setattr("mnist_pipeline.evaluation.evaluate.LATENCY_SECONDS", 60.0)
    classifier = Timed()

    found = time_calls(classifier, np.zeros((3, 28, 28), np.uint8), 32)

    assert set(classifier.shapes) == {(32, 28, 28)}
    assert len(classifier.shapes) == found.calls + 1  # the first one is the warm-up
    assert found.calls == LATENCY_CALLS


def test_the_examples_are_twenty_different_rows_that_stay_the_same(done):
    assert done.evaluation.examples == examples(360)
    assert examples(360)[:5] == [269, 11, 196, 150, 340]
    assert len(set(examples(10_000))) == 20
    assert max(examples(10_000)) < 10_000
    assert sorted(examples(7)) == list(range(7))


def test_a_model_that_was_changed_after_the_export_is_not_measured(done, digits_dataset, tmp_path):
    run, exported = linear_models.export(done.weights, digits_dataset, tmp_path / "run")
    data = bytearray(run.model_onnx.read_bytes())
    data[len(data) // 2] ^= 1
    run.model_onnx.write_bytes(data)

    with pytest.raises(IntegrityError, match=exported.sha256):
        evaluate_model(EvaluateConfig(device="cpu"), digits_dataset, exported, run)
    assert not run.evaluation_json.exists()


def test_answers_that_are_no_probabilities_are_refused_with_the_row(done, digits_dataset, tmp_path):
    weights = done.weights.copy()
    weights[400, 3] = np.nan
    run, exported = linear_models.export(weights, digits_dataset, tmp_path / "run")

    with pytest.raises(ExportError, match=r"no probabilities for \d+ of 360 images: image \d+ has the smallest nan"):
        evaluate_model(EvaluateConfig(device="cpu"), digits_dataset, exported, run)
    assert not run.evaluation_json.exists()
    assert not run.predictions.exists()


@pytest.mark.parametrize("answer", [[0.2] * 10, [1.5, -0.5] + [0.0] * 8, [0.0] * 10])
def test_only_shares_that_add_up_to_one_are_probabilities(done, answer):
    class Wrong:
        def answers(self, images: np.ndarray, batch_size: int) -> Answers:
            right = np.tile(np.eye(10, dtype=np.float32)[0], (len(images), 1))
            right[7] = answer
            return Answers(right, None)

    with pytest.raises(ExportError, match="image 7 has"):
        predict(Wrong(), done.data.test, 400)


def test_a_dataset_without_test_rows_cannot_be_evaluated(digits_dataset):
    empty = Dataset.open(digits_dataset.directory, validation_rows=0).validation
    with pytest.raises(DataError, match="no test rows"):
        predict(Timed(), empty, 100)


@no_gpu_here
def test_a_gpu_that_is_not_there_is_not_replaced(done, digits_dataset):
    with pytest.raises(DeviceError, match="gpu"):
        evaluate_model(EvaluateConfig(device="gpu"), digits_dataset, done.exported, done.run)


@no_gpu_here
def test_what_really_ran_is_recorded_and_not_what_was_asked(done, digits_dataset, tmp_path):
    run, exported = linear_models.export(done.weights, digits_dataset, tmp_path / "run")

    found = evaluate_model(EvaluateConfig(device="auto"), digits_dataset, exported, run)

    assert found.provider == "CPUExecutionProvider"


def test_a_described_dataset_is_evaluated_under_its_own_class_names(small_sprite, tmp_path):
    dataset = fetch_dataset(FetchConfig(dataset=small_sprite.describe()), Workspace(tmp_path / "workspace"))
    run, exported = linear_models.export(np.zeros((784, 10), np.float32), dataset, tmp_path / "run")

    evaluate_model(EvaluateConfig(device="cpu"), dataset, exported, run)

    # Eight test rows of the labels 4..9, 0, 1; a model without an opinion always says class 0.
    found = Evaluation.model_validate_json(run.evaluation_json.read_bytes())
    assert found.class_names == list("abcdefghij")
    assert (found.correct, found.samples) == (1, 8)
    assert [(row.name, row.samples) for row in found.per_class][:3] == [("a", 1), ("b", 1), ("c", 0)]
    assert (found.per_class[0].accuracy, found.per_class[0].precision) == (1, 1 / 8)
    assert found.log_loss == pytest.approx(np.log(10))
    assert found.expected_calibration_error == pytest.approx(1 / 8 - 0.1, abs=1e-6)
    assert sorted(found.examples) == list(range(8))
