"""Metrics: equal to scikit-learn's and SciPy's on random predictions, and to hand counts on small ones."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist_pipeline.evaluation import metrics

NAMES = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")


@st.composite
def predictions(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Labels uint8 [n] and probabilities float32 [n, 10]; often with classes that never occur or are never answered."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows = draw(st.integers(1, 80))
    occurring = draw(st.lists(st.integers(0, 9), min_size=1, max_size=10, unique=True))
    answered = draw(st.lists(st.integers(0, 9), min_size=1, max_size=10, unique=True))
    labels = random.choice(occurring, rows).astype(np.uint8)
    logits = np.full((rows, 10), -60.0)
    logits[:, answered] = random.normal(scale=draw(st.floats(0.1, 8)), size=(rows, len(answered)))
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return labels, (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def certain(answers: list[int], confidence: float | list[float] = 0.91) -> np.ndarray:
    """float32 [n, 10]: these answers with this confidence, the rest spread evenly."""
    sure = np.broadcast_to(np.asarray(confidence, np.float32), len(answers))
    probabilities = np.repeat((1 - sure)[:, np.newaxis] / 9, 10, axis=1).astype(np.float32)
    probabilities[np.arange(len(answers)), answers] = sure
    return probabilities


@settings(max_examples=60, deadline=None)
@given(predictions())
def test_confusion_and_class_metrics_are_scikit_learns(drawn):
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    labels, probabilities = drawn
    predicted = probabilities.argmax(axis=1)

    matrix = metrics.confusion_matrix(labels, predicted, 10)
    rows = metrics.per_class(matrix, NAMES)

    assert matrix.tolist() == confusion_matrix(labels, predicted, labels=range(10)).tolist()
    expected = precision_recall_fscore_support(labels, predicted, labels=range(10), zero_division=0)
    found = [[getattr(row, name) for row in rows] for name in ("precision", "recall", "f1", "samples")]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert [row.accuracy for row in rows] == [row.recall for row in rows]
    assert [(row.label, row.name) for row in rows] == list(enumerate(NAMES))


@settings(max_examples=60, deadline=None)
@given(predictions())
def test_log_loss_is_scikit_learns_on_clipped_probabilities(drawn):
    from sklearn.metrics import log_loss

    labels, probabilities = drawn
    of_label = np.clip(probabilities[np.arange(len(labels)), labels].astype(np.float64), 1e-7, 1)

    # As two classes, right and wrong: there the probabilities add up to one after the clipping, too.
    expected = log_loss(np.ones(len(labels)), np.column_stack([1 - of_label, of_label]), labels=[0, 1])

    assert metrics.log_loss(labels, probabilities) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_one_impossible_truth_costs_sixteen_nats_and_not_infinity():
    assert metrics.log_loss(np.array([3]), certain([5], 1.0)) == pytest.approx(-math.log(1e-7))


def test_a_class_without_samples_or_answers_has_zeros_and_not_nan():
    labels, answers = np.array([0, 0, 1]), np.array([0, 2, 0])
    rows = metrics.per_class(metrics.confusion_matrix(labels, answers, 10), NAMES)

    assert [(row.samples, row.accuracy, row.precision, row.f1) for row in rows[:4]] == [
        (2, 0.5, 0.5, 0.5),
        (1, 0.0, 0.0, 0.0),
        (0, 0.0, 0.0, 0.0),
        (0, 0.0, 0.0, 0.0),
    ]


@settings(max_examples=100, deadline=None)
@given(samples=st.integers(1, 20_000), share=st.floats(0, 1))
def test_wilson_interval_is_scipys(samples, share):
    from scipy.stats import binomtest

    correct = round(share * samples)
    expected = binomtest(correct, samples).proportion_ci(method="wilson")

    found = metrics.wilson_interval(correct, samples)

    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= found.low <= correct / samples + 1e-12
    assert correct / samples - 1e-12 <= found.high <= 1


def test_nothing_is_known_of_a_share_without_samples():
    assert metrics.wilson_interval(0, 0).model_dump() == {"low": 0, "high": 1}


@settings(max_examples=150, deadline=None)
@given(fixed=st.integers(0, 400), broken=st.integers(0, 400))
def test_mcnemar_is_scipys_exact_binomial_test(fixed, broken):
    from scipy.stats import binomtest

    expected = binomtest(fixed, fixed + broken).pvalue if fixed + broken else 1.0

    assert metrics.mcnemar(fixed, broken) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("fixed", "broken", "p"),
    [
        (0, 0, 1.0),
        (5, 5, 1.0),
        (0, 5, 2 / 2**5),
        (5, 0, 2 / 2**5),
        (1, 7, 2 * (1 + 8) / 2**8),
        (0, 10_000, 0.0),  # 2**-9999 is no double; zero is its nearest
    ],
)
def test_mcnemar_by_hand(fixed, broken, p):
    assert metrics.mcnemar(fixed, broken) == p


def test_mcnemar_is_exact_and_quick_for_thousands_of_discordant_images():
    from scipy.stats import binomtest

    assert metrics.mcnemar(5_100, 4_900) == pytest.approx(binomtest(4_900, 10_000).pvalue, rel=1e-9)


def test_mistakes_come_most_confident_first_and_equal_ones_by_row():
    labels = np.array([1, 2, 3, 4, 5])
    probabilities = certain([1, 7, 8, 9, 0], [0.99, 0.5, 0.75, 0.5, 0.875])

    found = metrics.mistakes(labels, probabilities)

    assert [(one.row, one.true, one.predicted) for one in found] == [(4, 5, 0), (2, 3, 8), (1, 2, 7), (3, 4, 9)]
    assert [one.confidence for one in found] == [0.875, 0.75, 0.5, 0.5]
    assert found[2].true_probability == pytest.approx(0.5 / 9)


@settings(max_examples=40, deadline=None)
@given(predictions())
def test_mistakes_are_all_wrong_rows_and_pairs_count_them(drawn):
    labels, probabilities = drawn
    predicted = probabilities.argmax(axis=1)
    matrix = metrics.confusion_matrix(labels, predicted, 10)

    found = metrics.mistakes(labels, probabilities)
    pairs = metrics.confused_pairs(matrix)

    assert sorted(one.row for one in found) == np.flatnonzero(predicted != labels).tolist()
    counts = [pair.count for pair in pairs]
    assert counts == sorted(counts, reverse=True)
    for pair in pairs:
        assert pair.count == sum((one.true, one.predicted) == (pair.true, pair.predicted) for one in found) > 0
    wrong_cells = sum(count > 0 for t, row in enumerate(matrix.tolist()) for p, count in enumerate(row) if t != p)
    assert len(pairs) == min(20, wrong_cells)


def test_reliability_bins_hold_their_upper_edge_and_not_their_lower():
    edge = np.float32(0.2)  # a little more than 3/15 in single precision: the bin above
    labels = np.zeros(4, np.int64)
    probabilities = certain([0, 0, 0, 1], [1.0, 1.0, float(edge), 1.0])

    bins = metrics.reliability(labels, probabilities)

    assert [(index, one.count) for index, one in enumerate(bins) if one.count] == [(3, 1), (14, 3)]
    assert (bins[14].confidence, bins[14].accuracy) == (1.0, pytest.approx(2 / 3))
    assert (bins[0].low, bins[14].high) == (0, 1)
    assert all(one.confidence == one.accuracy == 0 for one in bins if not one.count)


def test_a_confidence_on_an_edge_that_doubles_hold_belongs_to_the_bin_below():
    probabilities = np.full((3, 10), 0.0)
    probabilities[:, 0] = [3 / 15, 7 / 15, 14 / 15]
    probabilities[0, 1:6] = 0.16

    bins = metrics.reliability(np.zeros(3, np.int64), probabilities)

    assert [one.high for one in bins if one.count] == [3 / 15, 7 / 15, 14 / 15]


@settings(max_examples=60, deadline=None)
@given(predictions())
def test_calibration_error_is_the_weighted_distance_of_the_bins(drawn):
    labels, probabilities = drawn
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels

    bins = metrics.reliability(labels, probabilities)
    found = metrics.expected_calibration_error(bins)

    inside = [(confidence > one.low) & (confidence <= min(one.high, 1) + (one.high == 1)) for one in bins]
    assert [one.count for one in bins] == [int(rows.sum()) for rows in inside]
    expected = sum(abs((right[rows] - confidence[rows]).sum()) for rows in inside) / len(labels)
    assert found == pytest.approx(expected, abs=1e-12)


def test_calibration_error_of_a_boaster_is_the_share_that_it_is_wrong():
    labels = np.array([0, 0, 0, 0])
    bins = metrics.reliability(labels, certain([0, 0, 0, 1], 1.0))
    assert metrics.expected_calibration_error(bins) == pytest.approx(0.25)


def test_coverage_answers_less_and_less_and_counts_what_is_left():
    labels = np.array([0, 1, 2, 3])
    probabilities = certain([0, 1, 2, 9], [0.999_5, 0.9, 0.6, 0.3])

    points = {point.threshold: point for point in metrics.coverage(labels, probabilities)}

    assert (points[0].coverage, points[0].accuracy) == (1, 0.75)
    assert (points[0.31].coverage, points[0.31].accuracy) == (0.75, 1)
    assert points[0.61].coverage == 0.5
    assert points[0.999].coverage == 0.25
    thresholds = list(points)
    assert thresholds == sorted(thresholds)
    assert {0.0, 0.5, 0.99, 0.995, 0.999} <= set(thresholds)


def test_coverage_of_a_threshold_that_nobody_reaches_is_zero_with_nothing_wrong():
    last = metrics.coverage(np.array([0]), certain([1], 0.5))[-1]
    assert (last.threshold, last.coverage, last.accuracy) == (0.999, 0, 1)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 9), max_size=120), st.integers(0, 80), st.integers(0, 1_000))
def test_golden_rows_are_distinct_ascending_and_even_over_the_classes(labels, count, seed):
    labels = np.array(labels, np.uint8)

    rows = metrics.golden_rows(labels, count, seed=seed)

    assert rows.dtype == np.int64
    assert len(rows) == min(count, len(labels))
    assert (np.diff(rows) > 0).all()
    taken, there = np.bincount(labels[rows], minlength=10), np.bincount(labels, minlength=10)
    least = min((t for t, n in zip(taken, there, strict=True) if t < n), default=taken.max(initial=0))
    assert taken.max(initial=0) <= least + 1
    assert metrics.golden_rows(labels, count, seed=seed).tolist() == rows.tolist()
