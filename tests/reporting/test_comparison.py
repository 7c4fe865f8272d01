"""Two runs side by side."""

import dataclasses

import pytest

from mnist_pipeline.reporting.comparison import compare
from mnist_pipeline.reporting.html import render_comparison_html
from mnist_pipeline.reporting.inputs import ReportInputs
from tests.support.reports import make_inputs, sample_evaluation


def two() -> list[ReportInputs]:
    """B lacks the first three mistakes of A and makes one of its own, at row 9999's neighbour 9998."""
    a = make_inputs()
    own = a.evaluation.mistakes[0].model_copy(update={"row": 9_998, "confidence": 0.999})
    mistakes = [own, *a.evaluation.mistakes[3:]]
    b_run = dataclasses.replace(a.run, run_id="other", config={"training": {"preset": "codelab", "epochs": 10, "x": 1}})
    return [a, make_inputs(evaluation=sample_evaluation(mistakes=mistakes), run=b_run)]


def test_what_changed_between_two_runs() -> None:
    a, b = two()
    difference = compare(a, b)
    assert difference.fixed == [mistake.row for mistake in a.evaluation.mistakes[:3]]
    assert difference.broken == [9_998]
    assert difference.p_value == pytest.approx(0.625)
    assert [(one.name, one.a, one.b) for one in difference.config] == [
        ("training.preset", '"standard"', '"codelab"'),
        ("evaluation.device", '"auto"', None),
        ("training.x", None, "1"),
    ]


def test_runs_on_different_datasets_are_not_compared() -> None:
    a, b = make_inputs(), make_inputs(evaluation=sample_evaluation(dataset="digits", dataset_digest="d1" * 32))
    difference = compare(a, b)
    assert not difference.comparable
    assert (difference.p_value, difference.per_class, difference.fixed) == (None, [], [])
    page = render_comparison_html(a, b)
    assert "<h1>Not comparable</h1>" in page
    assert "measured on different datasets" in page


def test_the_page_says_which_run_is_better() -> None:
    a = make_inputs()
    b = make_inputs(evaluation=sample_evaluation(mistakes=a.evaluation.mistakes[20:]))
    assert "<h1>B is better</h1>" in render_comparison_html(a, b)
    assert "<h1>A is better</h1>" in render_comparison_html(b, a)
    assert "<h1>No clear difference</h1>" in render_comparison_html(a, a)
