"""From trained batches to `Progress`: often enough to be live, seldom enough to cost nothing."""

import time
from collections.abc import Callable, Mapping

from mnist_pipeline.progress import Progress, ReportProgress
from mnist_pipeline.runs.live import LiveCurve
from mnist_pipeline.runs.training_history import Epoch
from mnist_pipeline.training.batching import Batching

BatchReport = Callable[[int, int, Mapping[str, float]], None]
"""Called with the number of batches before this call of ``fit``, those in it, and the running means over these."""
INTERVAL = 0.1
"""Least seconds between two reports."""


class ProgressReporter:
    """Reports one member's training: its batches, throttled, and each of its epochs."""

    def __init__(
        self, report_progress: ReportProgress, batching: Batching, member: int, members: int, live: LiveCurve
    ) -> None:
        self._report_progress = report_progress
        self._batching = batching
        self._earlier, self._members = member - 1, members
        self._name = f"member {member}/{members}, " if members > 1 else ""
        self._last = -INTERVAL
        self._started: tuple[float, int] | None = None
        self._live = live

    def batches(self, start: int, done: int, metrics: Mapping[str, float]) -> None:
        """``done`` batches after the first ``start`` are done; ``metrics`` are the running means over them."""
        now = time.monotonic()
        trained = start + done
        if self._started is None:
            self._started = (now, trained)
        if now - self._last < INTERVAL:
            return
        self._last = now
        self._live.batches(self._earlier * self._batching.batches + start, done, metrics)
        epoch = (trained - 1) // self._batching.batches_per_epoch + 1
        self._send(epoch, trained - self._batching.batches_before(epoch), {**metrics, **self._left(now, trained)})

    def epoch(self, measured: Epoch, place: int) -> None:
        """The member's 1-based epoch ``place`` is done."""
        self._live.epoch(measured)
        metrics = {"loss": measured.loss, "accuracy": measured.accuracy}
        if measured.val_loss is not None and measured.val_accuracy is not None:
            metrics |= {"val_loss": measured.val_loss, "val_accuracy": measured.val_accuracy}
        self._send(place, self._batching.batches_in(place), metrics)

    def _left(self, now: float, trained: int) -> dict[str, float]:
        """Seconds until the member is done, at the speed so far; validations count as they happened."""
        if self._started is None or trained == self._started[1]:
            return {}
        since, first = self._started
        return {"seconds_left": (now - since) / (trained - first) * (self._batching.batches - trained)}

    def _send(self, epoch: int, done: int, metrics: Mapping[str, float]) -> None:
        activity = f"{self._name}epoch {epoch}/{self._batching.epochs}"
        trained = self._earlier * self._batching.batches + self._batching.batches_before(epoch) + done
        overall = trained / (self._members * self._batching.batches)
        total = self._batching.batches_in(epoch)
        self._report_progress(Progress(activity, done, total, "batches", metrics, overall))
