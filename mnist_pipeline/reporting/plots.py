"""The charts, drawn by matplotlib, each from the record that it shows and a palette.

Only matplotlib's object-oriented interface is used: no window, no pyplot, no state that outlives a
call. The same record gives the same bytes: no date, and identifiers salted by the chart's name.
"""

import io
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.errors import MissingExtraError
from mnist_pipeline.evaluation.schema import Evaluation
from mnist_pipeline.reporting.svg import inline_svg
from mnist_pipeline.runs.history import History

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of a chart, by what they stand for."""

    paper: str
    ink: str
    muted: str
    rule: str
    first: str
    """Training; the candidate."""
    second: str
    """Validation; the other run."""
    right: str
    """The diagonal of the confusion matrix."""
    wrong: str
    mark: str
    """The one thing to look at: a threshold, the kept epoch."""


PAPER = Palette(
    paper="#ffffff",
    ink="#1c2126",
    muted="#5b6570",
    rule="#d8dce0",
    first="#1f5fbf",
    second="#b3541e",
    right="#1f5fbf",
    wrong="#c2410c",
    mark="#7a3db8",
)
"""For PNG and SVG files: on white."""

# Stand-ins that no drawing uses otherwise; `inline_svg` replaces each by the page's CSS variable.
TOKENS = Palette(
    **{part.name: f"#0{number:x}0b0c" for number, part in enumerate(fields(Palette), start=1)},
)
VARIABLES: Mapping[str, str] = {getattr(TOKENS, part.name): f"--chart-{part.name}" for part in fields(Palette)}

Place = Literal["upper left", "upper right", "lower left", "lower right"]
Draw = Callable[[Palette], "Figure"]
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart; a missing value is NaN."""

    name: str
    x: Values
    y: Values
    second: bool = False
    """Drawn in the second colour, dashed, so that it is told apart without colour too."""


@dataclass(frozen=True, slots=True)
class Margins:
    """Room round and between the plots of a figure, inches: it holds ticks, labels and titles."""

    left: float = 0.62
    right: float = 0.12
    bottom: float = 0.48
    top: float = 0.1
    between_rows: float = 0.12
    between_columns: float = 0.0


MARGINS = Margins()


# ---------------------------------------------------------------- the charts


def loss_by_epoch(history: History, palette: Palette) -> "Figure":
    """Loss of the train and validation rows after each epoch."""
    figure, axes = _figure(palette)
    draw_loss_by_epoch(axes, history, palette)
    return figure


def accuracy_by_epoch(history: History, palette: Palette) -> "Figure":
    """Accuracy of the train and validation rows after each epoch, on 0 to 1, with the top magnified."""
    figure, axes = _figure(palette)
    draw_accuracy_by_epoch(axes, history, palette)
    return figure


def loss_by_batch(history: History, palette: Palette) -> "Figure":
    """Training loss of each batch."""
    figure, axes = _figure(palette)
    draw_by_batch(axes, history, "loss", palette)
    return figure


def accuracy_by_batch(history: History, palette: Palette) -> "Figure":
    """Training accuracy of each batch, on 0 to 1."""
    figure, axes = _figure(palette)
    draw_by_batch(axes, history, "accuracy", palette)
    return figure


def learning_curves(history: History, palette: Palette) -> "Figure":
    """The codelab's four charts on one sheet."""
    sheet = Margins(top=0.32, between_rows=0.85, between_columns=0.8)
    figure, grid = _figure(palette, 8.8, 6.2, margins=sheet, rows=2, columns=2)
    draw_loss_by_epoch(grid[0, 0], history, palette)
    draw_accuracy_by_epoch(grid[0, 1], history, palette)
    draw_by_batch(grid[1, 0], history, "loss", palette)
    draw_by_batch(grid[1, 1], history, "accuracy", palette)
    titles = ("Loss by epoch", "Accuracy by epoch", "Loss by batch", "Accuracy by batch")
    for axes, title in zip(grid.flat, titles, strict=True):
        axes.set_title(title, loc="left", fontsize=10, color=palette.ink)
    return figure


def learning_rate(history: History, palette: Palette) -> "Figure":
    """Learning rate at the end of each epoch."""
    figure, axes = _figure(palette, margins=Margins(left=0.78))
    _line(axes, _by_epoch(history, "learning_rate", "learning rate"), palette)
    axes.set_ylim(bottom=0)
    _label(axes, "epoch", "learning rate")
    _whole_ticks(axes)
    return figure


def reliability(evaluation: Evaluation, palette: Palette) -> "Figure":
    """Reliability diagram: accuracy against confidence, with how many images each bin holds below it."""
    figure, (upper, lower) = _figure(palette, 4.4, 3.7, margins=Margins(top=0.32), rows=2, ratios=(3, 1), share_x=True)
    bins = [part for part in evaluation.reliability if part.count]
    upper.plot([0, 1], [0, 1], color=palette.muted, linewidth=1, linestyle=(0, (2, 2)), label="perfectly calibrated")
    upper.plot(
        [part.confidence for part in bins],
        [part.accuracy for part in bins],
        color=palette.first,
        linewidth=1.6,
        marker="o",
        markersize=4,
        label="this model",
    )
    upper.set_ylim(0, 1.02)
    _label(upper, "", "accuracy in the bin")
    _legend_above(upper, palette)
    lower.bar(
        [part.low for part in evaluation.reliability],
        [part.count for part in evaluation.reliability],
        width=[part.high - part.low for part in evaluation.reliability],
        align="edge",
        color=palette.first,
        alpha=0.35,
        edgecolor=palette.paper,
        linewidth=0.6,
    )
    lower.set_yscale("symlog", linthresh=1)
    ticks = _powers_of_ten(max((part.count for part in evaluation.reliability), default=1))
    lower.set_yticks(ticks, [f"{tick:,}" for tick in ticks])
    lower.minorticks_off()
    lower.set_xlim(0, 1)
    _label(lower, "confidence", "images")
    return figure


def coverage(evaluation: Evaluation, threshold: float | None, palette: Palette) -> "Figure":
    """Coverage and accuracy of what is answered, against the threshold below which it is "no digit"."""
    figure, axes = _figure(palette, 4.4, 3.7, margins=Margins(top=0.32))
    x = np.array([point.threshold for point in evaluation.coverage])
    answered = Series("share answered", x, np.array([point.coverage for point in evaluation.coverage]), second=True)
    right = Series("right among the answered", x, np.array([point.accuracy for point in evaluation.coverage]))
    for series in (right, answered):
        _line(axes, series, palette, marker=None)
    low = min([*answered.y.tolist(), *right.y.tolist()], default=0.0)
    axes.set_ylim(max(0.0, math.floor(low * 20 - 0.2) / 20), 1.005)
    axes.set_xlim(0, 1)
    if threshold is not None:
        axes.axvline(threshold, color=palette.mark, linewidth=1.4)
        side = "right" if threshold > 0.5 else "left"
        axes.annotate(
            f"scoring uses {threshold:.3f}",
            (threshold, 0.04),
            xycoords=("data", "axes fraction"),
            xytext=(-5 if side == "right" else 5, 0),
            textcoords="offset points",
            ha=side,
            color=palette.mark,
        )
    _label(axes, "least confidence that is answered", "share of images")
    _legend_above(axes, palette)
    return figure


def confusion_matrix(evaluation: Evaluation, palette: Palette) -> "Figure":
    """Counts: true class down, predicted class across; the diagonal set apart, zeros quiet."""
    classes = len(evaluation.class_names)
    names = [f"{label} {shortened(name)}" for label, name in enumerate(evaluation.class_names)]
    side, room = 0.42 * classes, 0.45 + 0.075 * max(map(len, names))
    margins = Margins(left=room, bottom=room, right=0.15, top=0.15)
    figure, axes = _figure(palette, side + room + 0.15, side + room + 0.15, margins=margins)
    matrix = np.array(evaluation.confusion_matrix, dtype=np.int64).reshape(classes, classes)
    errors = matrix - np.diag(np.diag(matrix))
    strongest = max(1, int(errors.max(initial=0)))
    for true, predicted in itertools.product(range(classes), repeat=2):
        number = int(matrix[true, predicted])
        if true == predicted:
            _cell(axes, predicted, true, palette.right, 0.22)
        elif number:
            _cell(axes, predicted, true, palette.wrong, 0.06 + 0.54 * number / strongest)
        colour = palette.ink if number else palette.muted
        weight = "bold" if true == predicted else "normal"
        text = {"color": colour, "fontsize": 8, "fontweight": weight}
        axes.text(predicted, true, str(number), ha="center", va="center", **text)
    axes.set_xlim(-0.5, classes - 0.5)
    axes.set_ylim(classes - 0.5, -0.5)
    axes.set_xticks(range(classes), names, rotation=45, ha="right")
    axes.set_yticks(range(classes), names)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_aspect("equal")
    _label(axes, "predicted", "true")
    return figure


def accuracy_of_two(one: History, other: History, palette: Palette) -> "Figure":
    """Validation accuracy by epoch of two runs; training accuracy where nothing was held out."""
    figure, axes = _figure(palette)
    both = (_validated("A", one, second=False), _validated("B", other, second=True))
    for series in both:
        _line(axes, series, palette)
    _fraction_axis(axes)
    _label(axes, "epoch", "validation accuracy")
    _whole_ticks(axes)
    _legend(axes, palette, "lower left")
    _magnify(axes, both, palette)
    return figure


def _validated(name: str, history: History, *, second: bool) -> Series:
    """Validation accuracy by epoch; training accuracy where nothing was held out."""
    held_out = _by_epoch(history, "val_accuracy", name, second=second)
    return held_out if np.isfinite(held_out.y).any() else _by_epoch(history, "accuracy", name, second=second)


# ---------------------------------------------------------------- what charts are made of


def draw_loss_by_epoch(axes: "Axes", history: History, palette: Palette) -> None:
    both = (
        _by_epoch(history, "loss", "train"),
        _by_epoch(history, "val_loss", "validation", second=True),
    )
    for series in both:
        _line(axes, series, palette)
    axes.set_ylim(bottom=0)
    _kept_epoch(axes, history, both, palette)
    _label(axes, "epoch", "loss")
    _whole_ticks(axes)
    _loss_legend(axes, history, palette)


def draw_accuracy_by_epoch(axes: "Axes", history: History, palette: Palette) -> None:
    both = (
        _by_epoch(history, "accuracy", "train"),
        _by_epoch(history, "val_accuracy", "validation", second=True),
    )
    for series in both:
        _line(axes, series, palette)
    _fraction_axis(axes)
    _kept_epoch(axes, history, both, palette)
    _label(axes, "epoch", "accuracy")
    _whole_ticks(axes)
    _legend(axes, palette, "lower left")
    if inset := _magnify(axes, both, palette):
        _kept_epoch(inset, history, both, palette)


def draw_by_batch(axes: "Axes", history: History, figure_name: Literal["loss", "accuracy"], palette: Palette) -> None:
    """The figure of each batch, its running mean where there are many, and the validations between epochs."""
    y = np.array(getattr(history.batches, figure_name), dtype=np.float64)
    x = np.arange(1, len(y) + 1, dtype=np.float64)
    window = len(y) // 60
    if window > 1:
        axes.plot(x, y, color=palette.first, linewidth=0.7, alpha=0.45, label="each batch")
        axes.plot(x, _trailing_mean(y, window), color=palette.first, linewidth=1.6, label=f"mean of the last {window}")
    else:
        axes.plot(x, y, color=palette.first, linewidth=1.2, label="each batch")
    if history.validations:
        measured_at = np.array([one.batch for one in history.validations], dtype=np.float64)
        measured = np.array([getattr(one, figure_name) for one in history.validations], dtype=np.float64)
        _line(axes, Series("validation", measured_at, measured, second=True), palette)
    if figure_name == "accuracy":
        _fraction_axis(axes)
    else:
        axes.set_ylim(bottom=0)
    if window > 1 or history.validations:
        if figure_name == "accuracy":
            _legend(axes, palette, "lower right")
        else:
            _loss_legend(axes, history, palette)
    _label(axes, "batch", figure_name)


def _trailing_mean(values: Values, window: int) -> Values:
    """Mean of each value and those before it, at most ``window`` in all."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    last = np.arange(1, len(values) + 1)
    first = np.maximum(0, last - window)
    mean: Values = (total[last] - total[first]) / (last - first)
    return mean


def _by_epoch(history: History, figure_name: str, series_name: str, *, second: bool = False) -> Series:
    """A figure of each epoch; the line is broken where the next member of an ensemble begins."""
    epochs = history.epochs
    values = [getattr(epoch, figure_name) for epoch in epochs]
    begins = [at for at in range(1, len(epochs)) if epochs[at].member != epochs[at - 1].member]
    x = np.array([epoch.epoch for epoch in epochs], dtype=np.float64)
    y = np.array([math.nan if value is None else value for value in values], dtype=np.float64)
    return Series(series_name, np.insert(x, begins, math.nan), np.insert(y, begins, math.nan), second=second)


def _line(axes: "Axes", series: Series, palette: Palette, marker: str | None = "o") -> None:
    if not np.isfinite(series.y).any():
        return
    axes.plot(
        series.x,
        series.y,
        label=series.name,
        color=palette.second if series.second else palette.first,
        linestyle=(0, (4, 2)) if series.second else "solid",
        linewidth=1.6,
        marker=marker,
        markersize=3,
    )


def _kept_epoch(axes: "Axes", history: History, series: Sequence[Series], palette: Palette) -> None:
    """A ring round the figures of each epoch whose weights were kept."""
    shown = series[-1] if np.isfinite(series[-1].y).any() else series[0]
    at = np.isin(shown.x, history.best_epochs)
    axes.plot(
        shown.x[at],
        shown.y[at],
        label="kept epoch",
        linestyle="none",
        marker="o",
        markersize=8,
        markerfacecolor="none",
        markeredgecolor=palette.mark,
        markeredgewidth=1.4,
    )


def _magnify(axes: "Axes", both: Sequence[Series], palette: Palette) -> "Axes | None":
    """An inset over the empty lower half, where most of the curve lies too close to 1 to be read."""
    if len(both[0].x) < 3:
        return None
    values = np.concatenate([series.y[np.isfinite(series.y)] for series in both])
    low = next((edge for edge in (0.99, 0.98, 0.95, 0.9) if np.mean(values >= edge) >= 0.5), None)
    if low is None:
        return None
    inset = axes.inset_axes((0.45, 0.14, 0.52, 0.52))
    _dress(inset, palette)
    for series in both:
        _line(inset, series, palette)
    inset.set_ylim(low, 1)
    inset.tick_params(labelsize=7)
    inset.set_title(f"magnified: {low:g} to 1", fontsize=7, loc="right", color=palette.muted, pad=2)
    _whole_ticks(inset)
    return inset


def shortened(name: str, most: int = 16) -> str:
    """A class name that fits beside a matrix."""
    return name if len(name) <= most else name[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _cell(axes: "Axes", x: int, y: int, colour: str, strength: float) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((x - 0.48, y - 0.48), 0.96, 0.96, facecolor=colour, alpha=strength, linewidth=0))


def _fraction_axis(axes: "Axes") -> None:
    """0 to 1, as the codelab draws it; a little more, so that a line at 1 is seen whole."""
    axes.set_ylim(0, 1.02)
    axes.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1])


def _whole_ticks(axes: "Axes") -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))


def _powers_of_ten(largest: int) -> list[int]:
    return [0, *(10**power for power in range(0, len(str(largest)), 2))]


def _label(axes: "Axes", x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def _legend(axes: "Axes", palette: Palette, place: Place) -> None:
    axes.legend(loc=place, frameon=False, labelcolor=palette.ink, handlelength=1.8, borderaxespad=0.3)


def _loss_legend(axes: "Axes", history: History, palette: Palette) -> None:
    """Where a loss that falls leaves room; each member of an ensemble begins high again, and room is made above."""
    if history.members > 1:
        axes.set_ylim(top=1.3 * axes.get_ylim()[1])
    _legend(axes, palette, "upper right")


def _legend_above(axes: "Axes", palette: Palette) -> None:
    """Over the plot, where no line can cross it."""
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(-0.01, 1.0),
        ncols=2,
        frameon=False,
        labelcolor=palette.ink,
        handlelength=1.8,
        borderaxespad=0.2,
        columnspacing=1.4,
    )


def _figure(
    palette: Palette,
    width: float = 4.4,
    height: float = 2.85,
    *,
    margins: Margins = MARGINS,
    rows: int = 1,
    columns: int = 1,
    ratios: tuple[int, ...] | None = None,
    share_x: bool = False,
) -> tuple["Figure", Any]:
    """A dressed figure, inches; its axes as matplotlib's ``subplots`` gives them.

    Fixed margins, not a layout engine: charts side by side then have equal axes, and are drawn in half the time.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor=palette.paper)
    plot_width = (width - margins.left - margins.right - (columns - 1) * margins.between_columns) / columns
    plot_height = (height - margins.top - margins.bottom - (rows - 1) * margins.between_rows) / rows
    axes = figure.subplots(
        rows,
        columns,
        sharex=share_x,
        height_ratios=ratios,
        gridspec_kw={
            "left": margins.left / width,
            "right": 1 - margins.right / width,
            "bottom": margins.bottom / height,
            "top": 1 - margins.top / height,
            "wspace": margins.between_columns / plot_width,
            "hspace": margins.between_rows / plot_height,
        },
    )
    for one in figure.axes:
        _dress(one, palette)
    return figure, axes


def _dress(axes: "Axes", palette: Palette) -> None:
    axes.set_facecolor(palette.paper)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(palette.rule)
    axes.tick_params(colors=palette.muted, labelcolor=palette.muted, length=3, width=0.6)
    axes.xaxis.label.set_color(palette.muted)
    axes.yaxis.label.set_color(palette.muted)
    axes.grid(visible=True, axis="y", color=palette.rule, linewidth=0.6)
    axes.set_axisbelow(True)


# ---------------------------------------------------------------- bytes and text


def to_png(draw: Draw) -> bytes:
    """The chart as PNG, on white, 160 dots an inch."""
    with _house_style("png"):
        buffer = io.BytesIO()
        draw(PAPER).savefig(buffer, format="png", dpi=160, metadata={"Software": None})
        return buffer.getvalue()


def to_svg(draw: Draw, name: str) -> str:
    """The chart as an SVG document of its own, on white. ``name`` salts its identifiers."""
    with _house_style(name):
        return _svg_text(draw(PAPER))


def to_inline_svg(draw: Draw, name: str, label: str) -> str:
    """The chart as an ``<svg>`` element whose colours are the page's CSS variables ``--chart-*``.

    Args:
        draw: draws the chart with a palette.
        name: salts the identifiers; unique in the page.
        label: text alternative.
    """
    with _house_style(name):
        return inline_svg(_svg_text(draw(TOKENS)), label=label, colours=VARIABLES)


def _svg_text(figure: "Figure") -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return buffer.getvalue().decode()


@contextmanager
def _house_style(salt: str) -> Iterator[None]:
    """The library's own defaults and ours over them, whatever a matplotlibrc says; restored afterwards.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise MissingExtraError("drawing a report", "report") from error

    defaults = {key: value for key, value in matplotlib.rcParamsDefault.items() if not key.startswith("backend")}
    ours: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": salt,
        "font.family": ["DejaVu Sans"],  # ships with matplotlib: the same metrics everywhere
        "font.size": 9,
        "axes.titlesize": 10,
        "legend.fontsize": 8.5,
        "path.simplify_threshold": 0.5,
        "text.parse_math": False,  # a class name with two dollar signs is no formula
    }
    with matplotlib.rc_context():
        matplotlib.rcParams.update(defaults)
        matplotlib.rcParams.update(ours)
        yield
