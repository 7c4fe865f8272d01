"""What charts are made of: figures with fixed margins, axes, lines, legends."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.reporting.plots.palette import Palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Place = Literal["upper left", "upper right", "lower left", "lower right"]
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


def new_figure(
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
        dress(one, palette)
    return figure, axes


def dress(axes: "Axes", palette: Palette) -> None:
    axes.set_facecolor(palette.paper)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(palette.rule)
    axes.tick_params(colors=palette.muted, labelcolor=palette.muted, length=3, width=0.6)
    axes.xaxis.label.set_color(palette.muted)
    axes.yaxis.label.set_color(palette.muted)
    axes.grid(visible=True, axis="y", color=palette.rule, linewidth=0.6)
    axes.set_axisbelow(True)


def draw_line(axes: "Axes", series: Series, palette: Palette, marker: str | None = "o") -> None:
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


def fraction_axis(axes: "Axes") -> None:
    """0 to 1, as the codelab draws it; a little more, so that a line at 1 is seen whole."""
    axes.set_ylim(0, 1.02)
    axes.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1])


def whole_ticks(axes: "Axes") -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))


def label_axes(axes: "Axes", x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def legend(axes: "Axes", palette: Palette, place: Place) -> None:
    axes.legend(loc=place, frameon=False, labelcolor=palette.ink, handlelength=1.8, borderaxespad=0.3)


def legend_above(axes: "Axes", palette: Palette) -> None:
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
