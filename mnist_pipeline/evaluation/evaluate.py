"""Measure an ONNX model on the test rows: one prediction pass, written down in full."""

import csv
import io
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.config import EvaluateConfig
from mnist_pipeline.data.dataset import Dataset, Split
from mnist_pipeline.data.order import stable_permutation
from mnist_pipeline.errors import DataError
from mnist_pipeline.evaluation import metrics
from mnist_pipeline.evaluation.own_test import measure_own_test
from mnist_pipeline.evaluation.schema import Evaluation, Latency, OwnTest, Rejection
from mnist_pipeline.files import open_atomic, write_json, write_text
from mnist_pipeline.inference import AnswerLimits, Answers, Classifier
from mnist_pipeline.inference.contract import require_probabilities
from mnist_pipeline.progress import Progress, ReportProgress, no_progress
from mnist_pipeline.rejection.limits import turned_away
from mnist_pipeline.runs.artifacts import EvaluatedModel, ExportedModel, FetchedDataset, Output
from mnist_pipeline.workspace import RunDirectory

EXAMPLES = 20
"""As the codelab shows."""
EXAMPLES_SEED = 0
LATENCY_BATCHES = (1, 32, 1_024)
LATENCY_SECONDS = 0.7
"""For each of the batch sizes."""
LATENCY_CALLS = 200


def evaluate_model(
    config: EvaluateConfig,
    dataset: FetchedDataset,
    exported: ExportedModel,
    run: RunDirectory,
    report_progress: ReportProgress = no_progress,
    *,
    own_test: Path | None = None,
) -> EvaluatedModel:
    """Predict every test row once; write evaluation.json, evaluation.csv and predictions.npy.

    The own-test images are those in ``own_test`` (own_test.zip), where there are some.

    The limits for "no digit" are those of the model file; what they do to the test rows is measured here.

    Raises:
        DeviceError: ``config.device`` is gpu and CUDA does not run the model.
        IntegrityError: the model is not the exported one.
        DataError: the dataset has no test rows.
        ExportError: what the model gives are no probabilities.
    """
    classifier = Classifier.load(exported.path, sha256=exported.sha256, device=config.device)
    data = Dataset.open(dataset.directory)
    answers = predict(classifier, data.test, config.batch_size, report_progress)
    evaluation = measure(
        data,
        dataset,
        classifier,
        answers,
        latency=[time_calls(classifier, data.test.images, batch) for batch in LATENCY_BATCHES],
        own_test=measure_own_test(classifier, own_test, list(data.class_names)) if own_test else None,
    )
    with open_atomic(run.predictions) as file:
        np.save(file, answers.probabilities, allow_pickle=False)
    write_text(run.evaluation_csv, render_csv(evaluation))
    write_json(run.evaluation_json, evaluation.model_dump(mode="json"))
    return EvaluatedModel(
        directory=run.path,
        files=Output.digests(run.evaluation_json, run.evaluation_csv, run.predictions),
        accuracy=evaluation.accuracy,
        samples=evaluation.samples,
        provider=evaluation.provider,
    )


def predict(
    classifier: Classifier, split: Split, batch_size: int = 1_000, report_progress: ReportProgress = no_progress
) -> Answers:
    """What the model says of every image of the split, in order.

    Raises:
        DataError: the split is empty.
        ExportError: what the model gives are no probabilities.
    """
    rows = len(split)
    if not rows:
        raise DataError("the dataset has no test rows to evaluate; its description must name some")
    done = []
    for start in range(0, rows, batch_size):
        done.append(classifier.answers(split.images[start : start + batch_size], batch_size))
        report_progress(Progress("evaluate", min(start + batch_size, rows), rows, "images"))
    probabilities = np.concatenate([one.probabilities for one in done])
    require_probabilities(probabilities, "the model")
    novelty = [one.novelty for one in done if one.novelty is not None]
    return Answers(probabilities, np.concatenate(novelty) if novelty else None)


def measure(
    data: Dataset,
    dataset: FetchedDataset,
    classifier: Classifier,
    answers: Answers,
    *,
    latency: list[Latency],
    own_test: OwnTest | None = None,
) -> Evaluation:
    """Everything that evaluation.json says, from the one prediction pass."""
    labels, probabilities = data.test.labels, answers.probabilities
    predicted = probabilities.argmax(axis=1)
    matrix = metrics.confusion_matrix(labels, predicted, len(data.class_names))
    bins = metrics.reliability(labels, probabilities)
    correct = int((predicted == labels).sum())
    return Evaluation(
        accuracy=correct / len(labels),
        accuracy_interval=metrics.wilson_interval(correct, len(labels)),
        correct=correct,
        samples=len(labels),
        log_loss=metrics.log_loss(labels, probabilities),
        provider=classifier.provider,
        device=classifier.device,
        class_names=list(data.class_names),
        per_class=metrics.per_class(matrix, data.class_names),
        confusion_matrix=matrix.tolist(),
        mistakes=metrics.mistakes(labels, probabilities),
        confused_pairs=metrics.confused_pairs(matrix),
        expected_calibration_error=metrics.expected_calibration_error(bins),
        reliability=bins,
        coverage=metrics.coverage(labels, probabilities),
        rejection=_rejection(classifier.metadata.limits, labels, answers),
        own_test=own_test,
        latency=latency,
        examples=examples(len(labels)),
        model_sha256=classifier.sha256,
        dataset=dataset.name,
        dataset_digest=dataset.digest,
        fallback=dataset.fallback,
    )


def examples(rows: int) -> list[int]:
    """Rows of the input examples: at most `EXAMPLES`, drawn with a fixed seed."""
    drawn: list[int] = stable_permutation(rows, EXAMPLES_SEED)[:EXAMPLES].tolist()
    return drawn


def time_calls(classifier: Classifier, images: NDArray[np.uint8], batch: int) -> Latency:
    """Median and 95th percentile of the time of one call, after a warm-up call."""
    block = np.resize(images[:batch], (batch, *images.shape[1:]))
    classifier.probabilities(block, batch)
    seconds = list(_seconds_of_calls(classifier, block))
    median, p95 = np.percentile(seconds, [50, 95]) * 1_000
    return Latency(batch=batch, calls=len(seconds), median_ms=float(median), p95_ms=float(p95))


def _seconds_of_calls(classifier: Classifier, block: NDArray[np.uint8]) -> Iterator[float]:
    end = time.perf_counter() + LATENCY_SECONDS
    for _ in range(LATENCY_CALLS):
        start = time.perf_counter()
        classifier.probabilities(block, len(block))
        now = time.perf_counter()
        yield now - start
        if now > end:
            return


def _rejection(limits: AnswerLimits | None, labels: NDArray[np.uint8], answers: Answers) -> Rejection | None:
    """What the model's limits do to its answers; None where it states none."""
    if limits is None or answers.novelty is None:
        return None
    right = answers.probabilities.argmax(axis=1) == labels
    refused = turned_away(limits, answers.probabilities.max(axis=1), answers.novelty)
    return Rejection(
        limits=limits,
        false_reject_rate=float(refused[right].mean()) if right.any() else 0.0,
        wrong_answers_kept=int(np.count_nonzero(~refused & ~right)),
    )


def render_csv(evaluation: Evaluation) -> str:
    """The per-class table and, last, all test rows together (macro means of precision, recall and F1).

    Columns: label, name, samples, accuracy, precision, recall, f1. The last row's label is "all".
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["label", "name", "samples", "accuracy", "precision", "recall", "f1"])
    for row in evaluation.per_class:
        writer.writerow([row.label, row.name, row.samples, row.accuracy, row.precision, row.recall, row.f1])
    means = [
        statistics.fmean(getattr(row, field) for row in evaluation.per_class) for field in ("precision", "recall", "f1")
    ]
    writer.writerow(["all", "all", evaluation.samples, evaluation.accuracy, *means])
    return text.getvalue()
