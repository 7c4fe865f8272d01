"""Two runs side by side."""

import dataclasses
from collections.abc import Callable

import pytest

from mnist_pipeline.evaluation.schema import Evaluation
from mnist_pipeline.reporting.comparison import changed_rows, compare
from mnist_pipeline.reporting.html import render_comparison_html
from mnist_pipeline.reporting.inputs import ReportInputs


def two(report_inputs: Callable[..., ReportInputs], evaluations: Callable[..., Evaluation]) -> list[ReportInputs]:
    """B lacks the first three mistakes of A and makes one of its own, at row 9999's neighbour 9998."""
    a = report_inputs()
    own = a.evaluation.mistakes[0].model_copy(update={"row": 9_998, "confidence": 0.999})
    mistakes = [own, *a.evaluation.mistakes[3:]]
    b_run = dataclasses.replace(a.run, run_id="other", config={"training": {"preset": "codelab", "epochs": 10, "x": 1}})
    return [a, report_inputs(evaluation=evaluations(mistakes=mistakes), run=b_run)]


def test_what_changed_between_two_runs(
    report_inputs: Callable[..., ReportInputs], evaluations: Callable[..., Evaluation]
) -> None:
    a, b = two(report_inputs, evaluations)
    difference = compare(a, b)
    assert difference.fixed == {mistake.row for mistake in a.evaluation.mistakes[:3]}
    assert difference.broken == {9_998}
    assert difference.p_value == pytest.approx(0.625)
    assert [(one.name, one.a, one.b) for one in difference.config] == [
        ("training.preset", '"standard"', '"codelab"'),
        ("evaluation.device", '"auto"', None),
        ("training.x", None, "1"),
    ]
    assert changed_rows(a, b) == ([mistake.row for mistake in a.evaluation.mistakes[:3]], [9_998])


def test_runs_on_different_datasets_are_not_compared(
    report_inputs: Callable[..., ReportInputs], evaluations: Callable[..., Evaluation]
) -> None:
    a, b = report_inputs(), report_inputs(evaluation=evaluations(dataset="digits", dataset_digest="d1" * 32))
    difference = compare(a, b)
    assert not difference.comparable
    assert (difference.p_value, difference.per_class, difference.fixed) == (None, (), frozenset())
    page = render_comparison_html(a, b)
    assert "<h1>Not comparable</h1>" in page
    assert "measured on different datasets" in page


def test_the_page_says_which_run_is_better(
    report_inputs: Callable[..., ReportInputs], evaluations: Callable[..., Evaluation]
) -> None:
    a = report_inputs()
    b = report_inputs(evaluation=evaluations(mistakes=a.evaluation.mistakes[20:]))
    assert "<h1>B is better</h1>" in render_comparison_html(a, b)
    assert "<h1>A is better</h1>" in render_comparison_html(b, a)
    assert "<h1>No clear difference</h1>" in render_comparison_html(a, a)
