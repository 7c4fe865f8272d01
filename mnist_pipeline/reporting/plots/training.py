"""Charts of a training, from its history."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from mnist_pipeline.reporting.plots.axes import (
    Margins,
    Series,
    Values,
    draw_line,
    dress,
    fraction_axis,
    label_axes,
    legend,
    new_figure,
    whole_ticks,
)
from mnist_pipeline.reporting.plots.palette import Palette
from mnist_pipeline.runs.training_history import TrainingHistory

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


Metric = Literal["loss", "accuracy"]
DrawMetric = Callable[[Metric, "Axes", TrainingHistory, Palette], None]


def learning_rate(history: TrainingHistory, palette: Palette) -> "Figure":
    """Learning rate at the end of each epoch."""
    figure, axes = new_figure(palette, margins=Margins(left=0.78))
    draw_line(axes, _by_epoch(history, "learning_rate", "learning rate"), palette)
    axes.set_ylim(bottom=0)
    label_axes(axes, "epoch", "learning rate")
    whole_ticks(axes)
    return figure


def accuracy_of_two(one: TrainingHistory, other: TrainingHistory, palette: Palette) -> "Figure":
    """Validation accuracy by epoch of two runs; training accuracy where nothing was held out."""
    figure, axes = new_figure(palette)
    both = (_validated("A", one, second=False), _validated("B", other, second=True))
    for series in both:
        draw_line(axes, series, palette)
    fraction_axis(axes)
    label_axes(axes, "epoch", "validation accuracy")
    whole_ticks(axes)
    legend(axes, palette, "lower left")
    _magnify(axes, both, palette)
    return figure


def _validated(name: str, history: TrainingHistory, *, second: bool) -> Series:
    """Validation accuracy by epoch; training accuracy where nothing was held out."""
    held_out = _by_epoch(history, "val_accuracy", name, second=second)
    return held_out if np.isfinite(held_out.y).any() else _by_epoch(history, "accuracy", name, second=second)


def _draw_by_epoch(metric: Metric, axes: "Axes", history: TrainingHistory, palette: Palette) -> None:
    """The metric of the train and validation rows after each epoch; accuracy with its top magnified."""
    both = (_by_epoch(history, metric, "train"), _by_epoch(history, f"val_{metric}", "validation", second=True))
    for series in both:
        draw_line(axes, series, palette)
    _value_axis(metric, axes)
    _kept_epoch(axes, history, both, palette)
    label_axes(axes, "epoch", metric)
    whole_ticks(axes)
    if metric == "loss":
        _loss_legend(axes, history, palette)
    else:
        legend(axes, palette, "lower left")
        if inset := _magnify(axes, both, palette):
            _kept_epoch(inset, history, both, palette)


def _value_axis(metric: Metric, axes: "Axes") -> None:
    if metric == "accuracy":
        fraction_axis(axes)
    else:
        axes.set_ylim(bottom=0)


def _draw_by_batch(metric: Metric, axes: "Axes", history: TrainingHistory, palette: Palette) -> None:
    """The metric of each batch, its running mean where there are many, and the validations between epochs."""
    y = np.array(getattr(history.batches, metric), dtype=np.float64)
    x = np.arange(1, len(y) + 1, dtype=np.float64)
    window = len(y) // 60
    if window > 1:
        axes.plot(x, y, color=palette.first, linewidth=0.7, alpha=0.45, label="each batch")
        axes.plot(x, _trailing_mean(y, window), color=palette.first, linewidth=1.6, label=f"mean of the last {window}")
    else:
        axes.plot(x, y, color=palette.first, linewidth=1.2, label="each batch")
    if history.validations:
        measured_at = np.array([one.batch for one in history.validations], dtype=np.float64)
        measured = np.array([getattr(one, metric) for one in history.validations], dtype=np.float64)
        draw_line(axes, Series("validation", measured_at, measured, second=True), palette)
    _value_axis(metric, axes)
    if window > 1 or history.validations:
        if metric == "accuracy":
            legend(axes, palette, "lower right")
        else:
            _loss_legend(axes, history, palette)
    label_axes(axes, "batch", metric)


def _trailing_mean(values: Values, window: int) -> Values:
    """Mean of each value and those before it, at most ``window`` in all."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    last = np.arange(1, len(values) + 1)
    first = np.maximum(0, last - window)
    mean: Values = (total[last] - total[first]) / (last - first)
    return mean


def _by_epoch(history: TrainingHistory, metric: str, series_name: str, *, second: bool = False) -> Series:
    """A metric of each epoch; the line is broken where the next member of an ensemble begins."""
    epochs = history.epochs
    values = [getattr(epoch, metric) for epoch in epochs]
    begins = [at for at in range(1, len(epochs)) if epochs[at].member != epochs[at - 1].member]
    x = np.array([epoch.epoch for epoch in epochs], dtype=np.float64)
    y = np.array([math.nan if value is None else value for value in values], dtype=np.float64)
    return Series(series_name, np.insert(x, begins, math.nan), np.insert(y, begins, math.nan), second=second)


def _kept_epoch(axes: "Axes", history: TrainingHistory, series: Sequence[Series], palette: Palette) -> None:
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
    dress(inset, palette)
    for series in both:
        draw_line(inset, series, palette)
    inset.set_ylim(low, 1)
    inset.tick_params(labelsize=7)
    inset.set_title(f"magnified: {low:g} to 1", fontsize=7, loc="right", color=palette.muted, pad=2)
    whole_ticks(inset)
    return inset


def _loss_legend(axes: "Axes", history: TrainingHistory, palette: Palette) -> None:
    """Where a loss that falls leaves room; each member of an ensemble begins high again, and room is made above."""
    if history.members > 1:
        axes.set_ylim(top=1.3 * axes.get_ylim()[1])
    legend(axes, palette, "upper right")


def _alone(draw: DrawMetric, metric: Metric, history: TrainingHistory, palette: Palette) -> "Figure":
    figure, axes = new_figure(palette)
    draw(metric, axes, history, palette)
    return figure


loss_by_epoch = partial(_alone, _draw_by_epoch, "loss")
accuracy_by_epoch = partial(_alone, _draw_by_epoch, "accuracy")
loss_by_batch = partial(_alone, _draw_by_batch, "loss")
accuracy_by_batch = partial(_alone, _draw_by_batch, "accuracy")


def learning_curves(history: TrainingHistory, palette: Palette) -> "Figure":
    """The codelab's four charts on one sheet."""
    sheet = Margins(top=0.32, between_rows=0.85, between_columns=0.8)
    figure, grid = new_figure(palette, 8.8, 6.2, margins=sheet, rows=2, columns=2)
    charts: tuple[tuple[str, DrawMetric, Metric], ...] = (
        ("Loss by epoch", _draw_by_epoch, "loss"),
        ("Accuracy by epoch", _draw_by_epoch, "accuracy"),
        ("Loss by batch", _draw_by_batch, "loss"),
        ("Accuracy by batch", _draw_by_batch, "accuracy"),
    )
    for axes, (title, draw, metric) in zip(grid.flat, charts, strict=True):
        draw(metric, axes, history, palette)
        axes.set_title(title, loc="left", fontsize=10, color=palette.ink)
    return figure
