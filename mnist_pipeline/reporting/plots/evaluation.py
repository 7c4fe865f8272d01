"""Charts of an evaluation: calibration, coverage, confusion matrix."""

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

from mnist_pipeline.evaluation.schema import Evaluation
from mnist_pipeline.reporting.plots.axes import Margins, Series, draw_line, label_axes, legend_above, new_figure
from mnist_pipeline.reporting.plots.palette import Palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def reliability(evaluation: Evaluation, palette: Palette) -> "Figure":
    """Reliability diagram: accuracy against confidence, with how many images each bin holds below it."""
    figure, (upper, lower) = new_figure(
        palette, 4.4, 3.7, margins=Margins(top=0.32), rows=2, ratios=(3, 1), share_x=True
    )
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
    label_axes(upper, "", "accuracy in the bin")
    legend_above(upper, palette)
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
    label_axes(lower, "confidence", "images")
    return figure


def coverage(evaluation: Evaluation, threshold: float | None, palette: Palette) -> "Figure":
    """Coverage and accuracy of what is answered, against the threshold below which it is "no digit"."""
    figure, axes = new_figure(palette, 4.4, 3.7, margins=Margins(top=0.32))
    x = np.array([point.threshold for point in evaluation.coverage])
    answered = Series("share answered", x, np.array([point.coverage for point in evaluation.coverage]), second=True)
    right = Series("right among the answered", x, np.array([point.accuracy for point in evaluation.coverage]))
    for series in (right, answered):
        draw_line(axes, series, palette, marker=None)
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
    label_axes(axes, "least confidence that is answered", "share of images")
    legend_above(axes, palette)
    return figure


def confusion_matrix(evaluation: Evaluation, palette: Palette) -> "Figure":
    """Counts: true class down, predicted class across; the diagonal set apart, zeros quiet."""
    classes = len(evaluation.class_names)
    names = [f"{label} {shortened(name)}" for label, name in enumerate(evaluation.class_names)]
    side, room = 0.42 * classes, 0.45 + 0.075 * max(map(len, names))
    margins = Margins(left=room, bottom=room, right=0.15, top=0.15)
    figure, axes = new_figure(palette, side + room + 0.15, side + room + 0.15, margins=margins)
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
    label_axes(axes, "predicted", "true")
    return figure


def shortened(name: str, most: int = 16) -> str:
    """A class name that fits beside a matrix."""
    return name if len(name) <= most else name[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _cell(axes: "Axes", x: int, y: int, colour: str, strength: float) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((x - 0.48, y - 0.48), 0.96, 0.96, facecolor=colour, alpha=strength, linewidth=0))


def _powers_of_ten(largest: int) -> list[int]:
    return [0, *(10**power for power in range(0, len(str(largest)), 2))]
