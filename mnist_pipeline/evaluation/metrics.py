"""What predictions are worth: pure functions of labels and probabilities.

Labels are integers [n] in 0..classes-1, probabilities float [n, classes]. Shares of nothing are
0, as scikit-learn's ``zero_division=0``.
"""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.data.order import stable_permutation
from mnist_pipeline.evaluation.schema import (
    ClassMetrics,
    ConfusedPair,
    CoveragePoint,
    Interval,
    Mistake,
    ReliabilityBin,
)

Labels = NDArray[np.integer]
Probabilities = NDArray[np.floating]

Z_95 = 1.959963984540054
"""Two-sided 95 % quantile of the standard normal distribution."""
LEAST_PROBABILITY = 1e-7
CALIBRATION_BINS = 15
THRESHOLDS = (*(step / 100 for step in range(100)), 0.995, 0.999)
PAIRS_SHOWN = 20


def confusion_matrix(labels: Labels, predicted: Labels, classes: int) -> NDArray[np.int64]:
    """int64 [classes, classes]: how often the class of the row was taken for the class of the column."""
    cells = labels.astype(np.int64) * classes + predicted
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def per_class(matrix: NDArray[np.int64], names: Sequence[str]) -> list[ClassMetrics]:
    """One against the rest, for each class of a confusion matrix."""
    right, true, claimed = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    return [
        ClassMetrics(
            label=label,
            name=name,
            samples=int(true[label]),
            accuracy=_share(right[label], true[label]),
            precision=_share(right[label], claimed[label]),
            recall=_share(right[label], true[label]),
            f1=_share(2 * right[label], true[label] + claimed[label]),
        )
        for label, name in enumerate(names)
    ]


def log_loss(labels: Labels, probabilities: Probabilities) -> float:
    """Mean negative log-likelihood in nats; probabilities are clipped to [1e-7, 1]."""
    likelihood = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.clip(likelihood, LEAST_PROBABILITY, 1)).mean())


def wilson_interval(correct: int, samples: int) -> Interval:
    """Two-sided 95 % score interval of a proportion (Wilson 1927); [0, 1] without samples."""
    if samples == 0:
        return Interval(low=0, high=1)
    share, z2 = correct / samples, Z_95**2
    centre = (share + z2 / (2 * samples)) / (1 + z2 / samples)
    half = Z_95 * math.sqrt(share * (1 - share) / samples + z2 / (4 * samples**2)) / (1 + z2 / samples)
    return Interval(low=max(0.0, centre - half), high=min(1.0, centre + half))


def mistakes(labels: Labels, probabilities: Probabilities) -> list[Mistake]:
    """Every wrong answer, the most confident first, then by row."""
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    order = wrong[np.lexsort((wrong, -confidence[wrong]))]
    return [
        Mistake(
            row=int(row),
            true=int(labels[row]),
            predicted=int(predicted[row]),
            confidence=float(confidence[row]),
            true_probability=float(probabilities[row, labels[row]]),
        )
        for row in order
    ]


def confused_pairs(matrix: NDArray[np.int64]) -> list[ConfusedPair]:
    """The cells off the diagonal, the most frequent first, then by label; at most `PAIRS_SHOWN`."""
    cells = [(int(matrix[t, p]), t, p) for t in range(len(matrix)) for p in range(len(matrix)) if t != p]
    cells.sort(key=lambda cell: (-cell[0], cell[1:]))
    return [ConfusedPair(true=t, predicted=p, count=count) for count, t, p in cells[:PAIRS_SHOWN] if count]


def reliability(labels: Labels, probabilities: Probabilities) -> list[ReliabilityBin]:
    """Confidence against accuracy in 15 equal, right-closed bins of the confidence (Guo et al. 2017)."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    inner_edges = np.arange(1, CALIBRATION_BINS) / CALIBRATION_BINS
    bins = np.searchsorted(inner_edges, confidence, side="left")
    counts = np.bincount(bins, minlength=CALIBRATION_BINS)
    sure = np.bincount(bins, weights=confidence, minlength=CALIBRATION_BINS)
    hits = np.bincount(bins, weights=right, minlength=CALIBRATION_BINS)
    return [
        ReliabilityBin(
            low=index / CALIBRATION_BINS,
            high=(index + 1) / CALIBRATION_BINS,
            count=int(counts[index]),
            confidence=_share(sure[index], counts[index]),
            accuracy=_share(hits[index], counts[index]),
        )
        for index in range(CALIBRATION_BINS)
    ]


def expected_calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Mean distance of confidence and accuracy, weighted by the bins' counts (Guo et al. 2017)."""
    total = sum(one.count for one in bins)
    return _share(sum(one.count * abs(one.confidence - one.accuracy) for one in bins), total)


def coverage(labels: Labels, probabilities: Probabilities) -> list[CoveragePoint]:
    """What is left when answers below each of `THRESHOLDS` become "no digit"."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    points = []
    for threshold in THRESHOLDS:
        answered = confidence >= threshold
        count = int(answered.sum())
        accuracy = float(right[answered].mean()) if count else 1.0
        points.append(CoveragePoint(threshold=threshold, coverage=_share(count, len(labels)), accuracy=accuracy))
    return points


def mcnemar(fixed: int, broken: int) -> float:
    """Exact two-sided McNemar test of two classifiers on the same images (McNemar 1947).

    Under the null hypothesis, each of the discordant images falls to either side with probability
    1/2; the p-value is that of the binomial test, in exact integer arithmetic.

    Args:
        fixed: images that only the candidate gets right.
        broken: images that only the champion gets right.
    """
    n, least = fixed + broken, min(fixed, broken)
    term, tail = 1, 1
    for k in range(least):
        term = term * (n - k) // (k + 1)
        tail += term
    return min(1.0, float(Fraction(2 * tail, 2**n)))


def golden_rows(labels: Labels, count: int, *, seed: int) -> NDArray[np.int64]:
    """int64 [<= count]: rows for checking a published model, drawn evenly from the classes, ascending."""
    shuffled = stable_permutation(len(labels), seed)
    rank = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        of_class = shuffled[labels[shuffled] == label]
        rank[of_class] = np.arange(len(of_class))
    order = shuffled[np.argsort(rank[shuffled], kind="stable")]
    return np.sort(order[:count]).astype(np.int64)


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else 0.0
