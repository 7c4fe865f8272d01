"""Charts as PNG and SVG. The same record gives the same bytes: no date, and identifiers salted by the chart's name."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mnist_pipeline.errors import MissingExtraError
from mnist_pipeline.reporting.plots.palette import PAPER, TOKENS, VARIABLES, Palette
from mnist_pipeline.reporting.svg import inline_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Draw = Callable[[Palette], "Figure"]


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
