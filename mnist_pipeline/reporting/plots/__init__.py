"""The charts, drawn by matplotlib, each from the record that it shows and a palette.

Only matplotlib's object-oriented interface is used: no window, no pyplot, no state that outlives a call.
"""

from mnist_pipeline.reporting.plots.digits import test_digits
from mnist_pipeline.reporting.plots.evaluation import confusion_matrix, coverage, reliability, shortened
from mnist_pipeline.reporting.plots.palette import PAPER, TOKENS, VARIABLES, Palette
from mnist_pipeline.reporting.plots.rendering import Draw, to_inline_svg, to_png, to_svg
from mnist_pipeline.reporting.plots.training import (
    accuracy_by_batch,
    accuracy_by_epoch,
    accuracy_of_two,
    learning_curves,
    learning_rate,
    loss_by_batch,
    loss_by_epoch,
)

__all__ = [
    "PAPER",
    "TOKENS",
    "VARIABLES",
    "Draw",
    "Palette",
    "accuracy_by_batch",
    "accuracy_by_epoch",
    "accuracy_of_two",
    "confusion_matrix",
    "coverage",
    "learning_curves",
    "learning_rate",
    "loss_by_batch",
    "loss_by_epoch",
    "reliability",
    "shortened",
    "test_digits",
    "to_inline_svg",
    "to_png",
    "to_svg",
]
