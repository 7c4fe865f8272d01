"""A run as reports see it: made up, fixed, and true in itself (every figure follows from the confusion matrix)."""

import dataclasses
import math
from datetime import UTC, datetime
from typing import Any

import numpy as np

from mnist_pipeline.evaluation.schema import (
    Check,
    ClassChange,
    ClassMetrics,
    Comparison,
    ConfusedPair,
    CoveragePoint,
    Evaluation,
    Interval,
    Latency,
    Mistake,
    Rejection,
    ReliabilityBin,
    Verdict,
)
from mnist_pipeline.inference import AnswerLimits
from mnist_pipeline.reporting.inputs import ReportInputs, RunFacts, shown_rows
from mnist_pipeline.runs.parity import Parity
from mnist_pipeline.runs.record import RunRecord, StepRecord
from mnist_pipeline.runs.training_history import Batches, Epoch, Layer, TrainingHistory, TrainingSeconds

NAMES = ["Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine"]
# MNIST's own class counts, and mistakes as a small network makes them.
CONFUSION = [
    [975, 0, 1, 0, 0, 0, 2, 1, 1, 0],
    [0, 1131, 1, 1, 0, 0, 1, 1, 0, 0],
    [1, 1, 1020, 1, 1, 0, 0, 7, 1, 0],
    [0, 0, 2, 1002, 0, 3, 0, 1, 2, 0],
    [0, 0, 0, 0, 973, 0, 2, 0, 1, 6],
    [1, 0, 0, 6, 0, 882, 2, 0, 1, 0],
    [5, 2, 0, 0, 1, 3, 946, 0, 1, 0],
    [0, 2, 4, 1, 0, 0, 0, 1017, 1, 3],
    [3, 0, 2, 2, 1, 1, 1, 2, 960, 2],
    [1, 3, 0, 2, 6, 3, 0, 4, 1, 989],
]
TIMES = {"fetch": 0.081, "train": 61.2, "export": 4.03, "evaluate": 3.4}
RUN = RunRecord(
    run_id="20261121T090301-4fd1c2",
    status="promoted",
    reason=None,
    started=datetime(2026, 11, 21, 9, 3, 1, tzinfo=UTC),
    finished=None,
    code_version="0.1.0",
    steps={
        name: StepRecord(key="", output={}, seconds=seconds, reused_from="cache" if name == "fetch" else None)
        for name, seconds in TIMES.items()
    },
)
FONT = ["69996", "26227", "e168f", "e161e", "99f11", "f8e1e", "68e96", "f1244", "69696", "69716"]


def sample_image(label: int, row: int) -> np.ndarray:
    """A digit of 4x5 blocks, uint8 [28, 28], moved a little from row to row."""
    bits = np.array([[int(digit, 16) >> (3 - x) & 1 for x in range(4)] for digit in FONT[label]], dtype=np.uint8)
    ink = np.kron(bits, np.full((4, 4), 235, np.uint8))
    image = np.zeros((28, 28), np.uint8)
    top, left = 4 + row % 3 - 1, 6 + row % 5 - 2
    image[top : top + 20, left : left + 16] = ink
    return image


def sample_mistakes(confusion: list[list[int]]) -> list[Mistake]:
    pairs = [(t, p) for t, row in enumerate(confusion) for p, n in enumerate(row) for _ in range(n) if t != p]
    found = []
    for number, (true, predicted) in enumerate(pairs):
        confidence = round(0.35 + 0.64 * ((number * 37 + 11) % 101) / 101, 6)
        rest = round((1 - confidence) * 0.8, 6)
        found.append(
            Mistake(
                row=(number * 97 + 8) % 10_000,
                true=true,
                predicted=predicted,
                confidence=confidence,
                true_probability=rest,
            )
        )
    return sorted(found, key=lambda one: -one.confidence)


def sample_evaluation(confusion: list[list[int]] = CONFUSION, **changes: Any) -> Evaluation:
    matrix = np.array(confusion)
    samples, correct = int(matrix.sum()), int(np.trace(matrix))
    recall, precision = np.diag(matrix) / matrix.sum(1), np.diag(matrix) / matrix.sum(0)
    accuracy, half = correct / samples, 1.96 * math.sqrt(correct * (samples - correct) / samples**3)
    pairs = [(int(n), t, p) for t, row in enumerate(matrix) for p, n in enumerate(row) if n and t != p]
    bins = [(low, low + 1 / 15) for low in np.arange(15) / 15]
    values: dict[str, Any] = {
        "accuracy": accuracy,
        "accuracy_interval": Interval(low=accuracy - half, high=accuracy + half),
        "correct": correct,
        "samples": samples,
        "log_loss": 0.034_217,
        "provider": "CPUExecutionProvider",
        "device": "cpu",
        "class_names": NAMES,
        "per_class": [
            ClassMetrics(
                label=label,
                name=name,
                samples=int(matrix[label].sum()),
                accuracy=float(recall[label]),
                precision=float(precision[label]),
                recall=float(recall[label]),
                f1=float(2 * precision[label] * recall[label] / (precision[label] + recall[label])),
            )
            for label, name in enumerate(NAMES)
        ],
        "confusion_matrix": confusion,
        "mistakes": sample_mistakes(confusion),
        "confused_pairs": [
            ConfusedPair(true=true, predicted=predicted, count=number)
            for number, true, predicted in sorted(pairs, key=lambda pair: -pair[0])[:20]
        ],
        "expected_calibration_error": 0.003_812,
        "reliability": [
            ReliabilityBin(
                low=float(low),
                high=float(high),
                count=0 if index < 4 else 3 ** (index - 4) // 6 + index,
                confidence=0.0 if index < 4 else float((low + high) / 2),
                accuracy=0.0 if index < 4 else float(min(1, (low + high) / 2 + 0.03 * (-1) ** index)),
            )
            for index, (low, high) in enumerate(bins)
        ],
        "coverage": [
            CoveragePoint(
                threshold=step / 20, coverage=1 - 0.09 * (step / 20) ** 3, accuracy=accuracy + 0.0089 * (step / 20) ** 2
            )
            for step in range(20)
        ],
        "rejection": Rejection(
            limits=AnswerLimits(confidence=0.6182, novelty=1.4071, sure=0.9987, turned_away=0.0094, rows=5_000),
            false_reject_rate=0.0071,
            wrong_answers_kept=21,
        ),
        "latency": [
            Latency(batch=1, calls=200, median_ms=0.1432, p95_ms=0.2114),
            Latency(batch=32, calls=100, median_ms=1.021, p95_ms=1.388),
            Latency(batch=1024, calls=20, median_ms=31.87, p95_ms=36.4),
        ],
        "examples": [(number * 487 + 3) % 10_000 for number in range(20)],
        "model_sha256": "5f" * 32,
        "dataset": "mnist",
        "dataset_digest": "3d" * 32,
        "fallback": False,
    }
    return Evaluation(**values | changes)


def sample_history(epochs: int = 10, *, held_out: bool = True, batches: int = 98) -> TrainingHistory:
    def falling(step: float) -> float:
        return round(0.045 + 0.62 * math.exp(-step / 1.6), 6)

    loss = [round(0.04 + 2.2 * math.exp(-b / 28) + 0.02 * math.sin(b * 1.7), 6) for b in range(epochs * batches)]
    return TrainingHistory(
        config={"preset": "standard", "validation_rows": 5_000 if held_out else 0},
        layers=[
            Layer(name="conv2d", kind="Conv2D", output_shape=[None, 24, 24, 8], parameters=208, trainable=True),
            Layer(name="pool", kind="MaxPooling2D", output_shape=[None, 12, 12, 8], parameters=0, trainable=True),
            Layer(name="conv2d_1", kind="Conv2D", output_shape=[None, 8, 8, 16], parameters=3_216, trainable=True),
            Layer(name="pool_1", kind="MaxPooling2D", output_shape=[None, 4, 4, 16], parameters=0, trainable=True),
            Layer(name="flatten", kind="Flatten", output_shape=[None, 256], parameters=0, trainable=True),
            Layer(name="dense", kind="Dense", output_shape=[None, 10], parameters=2_570, trainable=True),
        ],
        parameters=5_994,
        train_rows=50_000,
        validation_rows=5_000 if held_out else 0,
        device="cpu",
        best_epochs=[epochs - 1 if held_out and epochs > 1 else epochs],
        validation_accuracy=None,
        stopped="finished",
        epochs=[
            Epoch(
                epoch=number,
                loss=falling(number),
                accuracy=round(0.995 - 0.16 * math.exp(-number / 1.4), 6),
                val_loss=round(falling(number) * 0.9 + 0.008, 6) if held_out else None,
                val_accuracy=round(0.9895 - 0.07 * math.exp(-number / 1.6), 6) if held_out else None,
                learning_rate=round(0.0015 * (1 + math.cos(math.pi * number / epochs)), 9),
                seconds=5.25,
            )
            for number in range(1, epochs + 1)
        ],
        batches=Batches(loss=loss, accuracy=[round(max(0.08, 1 - value * 0.42), 6) for value in loss]),
        validations=[],
        seconds=TrainingSeconds(imports=5.1, compile=1.4, fit=52.5),
        notes=["The augmentation is not reproducible on a GPU."],
    )


def sample_parity() -> Parity:
    return Parity(
        images=1_000,
        max_abs_difference=1.79e-7,
        mean_abs_difference=2.1e-9,
        argmax_differences=0,
        tolerance=1e-5,
        passed=True,
        provider="CPUExecutionProvider",
        opset=17,
        nodes=14,
        bytes=25_312,
        model_sha256="5f" * 32,
        keras_sha256="a1" * 32,
    )


def sample_comparison(evaluation: Evaluation) -> Comparison:
    broken = sorted(mistake.row for mistake in evaluation.mistakes[:9])
    wrong = {mistake.row for mistake in evaluation.mistakes}
    fixed = [row for row in range(5, 10_000, 431) if row not in wrong]
    return Comparison(
        champion_version="20261101-7be1c04d",
        champion_sha256="c7" * 32,
        champion_dataset_digest="3d" * 32,
        samples=evaluation.samples,
        candidate_accuracy=evaluation.accuracy,
        champion_accuracy=(evaluation.correct - len(fixed) + len(broken)) / evaluation.samples,
        fixed=fixed,
        broken=broken,
        p_value=0.0294,
        per_class=[
            ClassChange(
                label=part.label,
                name=part.name,
                candidate=part.accuracy,
                champion=part.accuracy + (0.0, 0.001, -0.0031)[part.label % 3],
            )
            for part in evaluation.per_class
        ],
    )


def sample_verdict(*, promoted: bool = True) -> Verdict:
    low = 0.9 if promoted else 0.995
    return Verdict(
        promoted=promoted,
        checks=[
            Check(
                name="accuracy",
                value=0.9895,
                threshold=low,
                passed=promoted,
                sentence=f"Accuracy is 98.95 %, asked is at least {low:.2%}: "
                + ("good enough." if promoted else "too low."),
            ),
            Check(
                name="worst class",
                value=0.9802,
                threshold=0.8,
                passed=True,
                sentence="The worst class, Nine, reaches 98.02 %, asked is at least 80.00 %.",
            ),
            Check(
                name="champion",
                value=0.0014,
                threshold=0.0,
                passed=True,
                sentence="14 images better than the champion; exact McNemar test p = 0.029.",
            ),
            Check(
                name="infrastructure",
                value=None,
                threshold=None,
                passed=True,
                sentence="A fresh process loaded the staged model and reproduced the stored predictions.",
            ),
        ],
    )


def make_inputs(**changes: Any) -> ReportInputs:
    """The sample run, promoted over a champion, with any part of it replaced."""
    evaluation = changes.get("evaluation") or sample_evaluation()
    comparison = sample_comparison(evaluation)
    true = {mistake.row: mistake.true for mistake in evaluation.mistakes}
    labels = {row: true.get(row, row % 10) for row in shown_rows(evaluation, comparison)}
    inputs = ReportInputs(
        run=RunFacts(
            run_id="20261121T090301-4fd1c2",
            record=RUN,
            model="mnist",
            source="https://storage.example/model-builder",
            config={"training": {"preset": "standard", "epochs": 10}, "evaluation": {"device": "auto"}},
            files={"config.json": "0c" * 32, "evaluation.json": "e5" * 32},
            environment={"tensorflow": "2.21.0", "keras": "3.15.1", "tf2onnx": "1.17.0", "onnxruntime": "1.26.0"},
        ),
        evaluation=evaluation,
        history=sample_history(),
        parity=sample_parity(),
        verdict=sample_verdict(),
        comparison=comparison,
        images={row: sample_image(label, row) for row, label in labels.items()},
        labels=labels,
        class_counts={
            "train": (4932, 5678, 4968, 5101, 4859, 4506, 4951, 5175, 4842, 4988),
            "validation": (493, 568, 497, 510, 486, 451, 495, 517, 484, 499),
            "test": tuple(int(part.samples) for part in evaluation.per_class),
        },
    )
    return dataclasses.replace(inputs, **changes)
