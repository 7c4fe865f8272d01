"""``report.html`` and the page that sets two runs side by side: values in, text out.

A page is one file: styles, charts and images are inside it, and its Content-Security-Policy lets
nothing else in. Whatever comes from data is escaped by the template engine.
"""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from mnist_pipeline import __version__
from mnist_pipeline.reporting import format as report_format
from mnist_pipeline.reporting import plots, sentences
from mnist_pipeline.reporting import view as report_view
from mnist_pipeline.reporting.comparison import compare
from mnist_pipeline.reporting.environment import csp_digest, environment
from mnist_pipeline.reporting.inputs import ReportInputs

if TYPE_CHECKING:
    from markupsafe import Markup


def render_html(inputs: ReportInputs) -> str:
    """The report of one run as one self-contained HTML page.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    return _render("report.html.j2", inputs=inputs, charts=_charts(inputs))


def render_comparison_html(a: ReportInputs, b: ReportInputs) -> str:
    """Two runs side by side as one self-contained HTML page.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    label = "Validation accuracy by epoch of both runs; the numbers stand in the training table."
    chart = plots.to_inline_svg(partial(plots.accuracy_of_two, a.history, b.history), "accuracy-of-two", label)
    return _render("comparison.html.j2", a=a, b=b, difference=compare(a, b), charts={"accuracy": _safe(chart)})


def _charts(inputs: ReportInputs) -> Mapping[str, "Markup"]:
    history, evaluation = inputs.history, inputs.evaluation
    training = sentences.curve_summary(history)
    ece = report_format.percent(evaluation.expected_calibration_error)
    drawn = {
        "loss-by-epoch": (partial(plots.loss_by_epoch, history), f"Loss by epoch. {training}"),
        "accuracy-by-epoch": (partial(plots.accuracy_by_epoch, history), f"Accuracy by epoch, on 0 to 1. {training}"),
        "loss-by-batch": (partial(plots.loss_by_batch, history), "Training loss of each batch."),
        "accuracy-by-batch": (partial(plots.accuracy_by_batch, history), "Training accuracy of each batch, on 0 to 1."),
        "learning-rate": (partial(plots.learning_rate, history), "Learning rate at the end of each epoch."),
        "reliability": (
            partial(plots.reliability, evaluation),
            f"Reliability diagram. Expected calibration error {ece}. The table below holds every bin.",
        ),
        "coverage": (
            partial(plots.coverage, evaluation, report_view.threshold(evaluation)),
            "Share answered, and share right among the answered, by the least confidence. The table below holds both.",
        ),
    }
    return {name: _safe(plots.to_inline_svg(draw, name, label)) for name, (draw, label) in drawn.items()}


def _safe(markup: str) -> "Markup":
    """Markup that this package made itself; its texts were escaped when it was made."""
    from markupsafe import Markup

    return Markup(markup)  # noqa: S704


def _render(template: str, **values: Any) -> str:
    templates = environment(html=True)
    style = _minified(templates.get_template("style.css").render())
    text = templates.get_template(template).render(
        style=_safe(style),
        style_digest=csp_digest(style),
        view=report_view,
        words=sentences,
        package_version=__version__,
        **values,
    )
    return text.rstrip() + "\n"


def _minified(style: str) -> str:
    return "\n".join(line.strip() for line in style.splitlines() if line.strip())
