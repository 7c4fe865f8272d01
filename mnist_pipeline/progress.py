"""How a step tells how far it is: it calls a function that it was given.

The command line draws a bar with it, the flow updates a Prefect artifact, a test records it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one activity is.

    Attributes:
        activity: what is going on, for the reader ("download mnist_images.png", "epoch 3/10").
        done: amount finished so far, in ``unit``.
        total: amount in all, or None where it is not known.
        unit: "bytes", "batches", "images" ...
        metrics: named numbers of this moment, in display order ("loss", "accuracy").
        overall: share of the whole step that is done, in [0, 1], where the activity is only a part of it.
    """

    activity: str
    done: float
    total: float | None
    unit: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    overall: float | None = None


ReportProgress = Callable[[Progress], None]


def no_progress(_: Progress) -> None:
    """Report to nobody."""
