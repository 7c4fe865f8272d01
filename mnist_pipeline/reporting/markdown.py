"""``report.md``: the report for the Prefect UI and for pull requests. Values in, text out.

GitHub-flavoured Markdown. Whatever comes from data is escaped or stands in a code span, so that it
can neither become markup nor break out of its table cell.
"""

import re
from collections.abc import Iterator, Sequence

from mnist_pipeline.evaluation.schema import Evaluation
from mnist_pipeline.reporting import format as fmt
from mnist_pipeline.reporting import view
from mnist_pipeline.reporting.inputs import ReportInputs

PAIRS_SHOWN = 10
MISTAKES_SHOWN = 10

_SPECIAL = re.compile(r"([\\`*_\[\]|~!#$])")
# What makes a list or a heading of the line above, where a text begins a line.
_BLOCK_START = re.compile(r"^(\s*\d*)([-+=.)])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def escape(text: str) -> str:
    """``text`` as literal Markdown text on one line."""
    line = _CONTROL.sub(" ", text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = _SPECIAL.sub(r"\\\1", line)
    # "://" and "www." would become links by themselves.
    line = re.sub(r"(?i)(www)\.", r"\1&#46;", line.replace("://", "&#58;//"))
    return _BLOCK_START.sub(r"\1\\\2", line)


def code(text: str) -> str:
    """``text`` as a code span on one line, also inside a table cell."""
    line = _CONTROL.sub(" ", text).replace("|", "\u2223")  # no escape for a pipe works everywhere in a code span
    fence = "`" * (max((len(run) for run in re.findall("`+", line)), default=0) + 1)
    padding = " " if line.startswith("`") or line.endswith("`") or not line else ""
    return f"{fence}{padding}{line}{padding}{fence}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A table whose first ``left`` columns hold text and whose others hold numbers. Cells are escaped already."""
    rule = [":---"] * left + ["---:"] * (len(header) - left)
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, rule, *rows))


def render_markdown(inputs: ReportInputs) -> str:
    """The report of one run as Markdown."""
    return "\n\n".join(_parts(inputs)) + "\n"


def render_per_class(evaluation: Evaluation) -> str:
    """The per-class table alone."""
    rows = [
        [
            f"{part.label} {escape(part.name)}",
            fmt.percent(part.accuracy),
            fmt.count(part.samples),
            fmt.percent(part.precision),
            fmt.percent(part.recall),
            fmt.percent(part.f1),
        ]
        for part in evaluation.per_class
    ]
    return table(["Class", "Accuracy", "Samples", "Precision", "Recall", "F1"], rows)


def _parts(inputs: ReportInputs) -> Iterator[str]:
    yield f"# {view.HEADLINES[view.outcome(inputs)]}: {fmt.percent(inputs.evaluation.accuracy)} accuracy"
    if warning := view.fallback_warning(inputs.evaluation):
        yield f"> **Not the dataset that was asked for.** {escape(warning)}"
    yield _facts(inputs)
    yield from _checks(inputs)
    yield "## Classes"
    yield render_per_class(inputs.evaluation)
    yield from _confusion(inputs.evaluation)
    yield from _mistakes(inputs.evaluation)
    yield from _confidence(inputs.evaluation)
    yield from _champion(inputs)
    yield from _training(inputs)
    yield from _proof(inputs)


def _facts(inputs: ReportInputs) -> str:
    evaluation, run = inputs.evaluation, inputs.run
    rows = [
        ["Test images right", f"{fmt.count(evaluation.correct)} of {fmt.count(evaluation.samples)}"],
        ["95 % interval", view.confidence_interval(evaluation)],
        ["Against the champion", view.champion_sentence(inputs)],
        ["Dataset", f"{code(evaluation.dataset)} {code(evaluation.dataset_digest[:12])}"],
        ["Measured with", code(evaluation.provider)],
        ["Run", code(run.run_id)],
    ]
    if run.model is not None:
        rows.append(["Model", code(run.model)])
    if run.version is not None:
        rows.append(["Version", code(run.version)])
    if run.seconds is not None:
        rows.append(["Duration", fmt.seconds(run.seconds)])
    return table(["", ""], rows, left=2)


def _checks(inputs: ReportInputs) -> Iterator[str]:
    yield "## Verdict"
    if inputs.verdict is None:
        yield "The gate has not judged this model yet."
        return
    rows = [
        [escape(check.name), "passed" if check.passed else "**failed**", escape(check.sentence)]
        for check in inputs.verdict.checks
    ]
    yield table(["Check", "Result", "Measured and asked"], rows, left=3)


def _confusion(evaluation: Evaluation) -> Iterator[str]:
    yield "### Confusion matrix"
    yield "Rows: true class. Columns: predicted class."
    rows = [
        [f"**{label}** {escape(name)}", *(f"**{n}**" if i == label else str(n) for i, n in enumerate(row))]
        for label, (name, row) in enumerate(zip(evaluation.class_names, evaluation.confusion_matrix, strict=True))
    ]
    yield table(["true \\\\ predicted", *(str(label) for label in range(len(evaluation.class_names)))], rows)


def _mistakes(evaluation: Evaluation) -> Iterator[str]:
    names = evaluation.class_names
    yield "## Mistakes"
    if not evaluation.mistakes:
        yield "None."
        return
    yield f"{fmt.count(len(evaluation.mistakes))} in all. The most frequent confusions:"
    pairs = evaluation.confused_pairs[:PAIRS_SHOWN]
    yield table(
        ["True", "Predicted", "Images"],
        [[escape(names[pair.true]), escape(names[pair.predicted]), fmt.count(pair.count)] for pair in pairs],
        left=2,
    )
    yield "The most confident mistakes:"
    yield table(
        ["Test row", "True", "Predicted", "Confidence"],
        [
            [str(one.row), escape(names[one.true]), escape(names[one.predicted]), fmt.percent(one.confidence)]
            for one in evaluation.mistakes[:MISTAKES_SHOWN]
        ],
        left=3,
    )


def _confidence(evaluation: Evaluation) -> Iterator[str]:
    yield "## Confidence"
    yield (
        f"Expected calibration error {fmt.percent(evaluation.expected_calibration_error)}; "
        f"log-loss {fmt.decimal(evaluation.log_loss)}. {view.rejection_sentence(evaluation)}"
    )


def _champion(inputs: ReportInputs) -> Iterator[str]:
    comparison = inputs.comparison
    yield "## Against the champion"
    if comparison is None:
        yield view.NO_CHAMPION
        return
    yield f"Champion {code(comparison.champion_version)}: {view.change_sentence(comparison)}."
    if other := view.other_champion_data(inputs):
        yield escape(other)
    rows = [
        [
            f"{part.label} {escape(part.name)}",
            fmt.percent(part.candidate),
            fmt.percent(part.champion),
            fmt.points(part.candidate - part.champion),
        ]
        for part in comparison.per_class
    ]
    yield table(["Class", "This model", "Champion", "Points"], rows)


def _training(inputs: ReportInputs) -> Iterator[str]:
    history = inputs.history
    yield "## Training"
    yield (
        f"{fmt.count(history.parameters)} parameters; {fmt.count(history.train_rows)} train rows and "
        f"{fmt.count(history.validation_rows)} validation rows on the {history.device.upper()}; "
        f"{fmt.seconds(history.seconds.fit)} of fitting. {view.curve_summary(history)}"
    )
    yield from (f"- {escape(note)}" for note in history.notes)


def _proof(inputs: ReportInputs) -> Iterator[str]:
    parity = inputs.parity
    yield "## Proof and lineage"
    yield view.parity_sentence(parity)
    if inputs.evaluation.latency:
        yield table(
            ["Images a call", "Median", "95th percentile"],
            [
                [fmt.count(one.batch), fmt.milliseconds(one.median_ms), fmt.milliseconds(one.p95_ms)]
                for one in inputs.evaluation.latency
            ],
        )
    yield table(["Made from", "SHA-256"], [[code(name), code(digest)] for name, digest in view.lineage(inputs)], left=2)
    if inputs.run.environment:
        environment = inputs.run.environment.items()
        yield table(["Package", "Version"], [[code(name), code(version)] for name, version in environment], left=2)
