"""What a scoring shows in the Prefect UI: how far it is, and what came of it."""

import threading
import time
from pathlib import Path

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from flows.progress import Bar
from mnist_pipeline.errors import PipelineError
from mnist_pipeline.files import printable
from mnist_pipeline.progress import Progress, ReportProgress
from mnist_pipeline.scoring.summary import ScoreSummary, remarks


class ScoringProgress:
    """Counts images: as they are scored by threads of this process, and as tasks anywhere end.

    Args:
        images: how many there are.
        also: is told how far it is.
    """

    def __init__(self, images: int, also: ReportProgress) -> None:
        self._images = images
        self._also = also
        self._lock = threading.Lock()
        self._scored = self._finished = 0
        self._stopped = False
        self._started = time.monotonic()
        self._bar = Bar("scoring-progress")

    def add(self, images: int) -> None:
        """So many more images are scored in this process.

        Raises:
            PipelineError: nobody waits for them any more.
        """
        if self._stopped:
            raise PipelineError("stopped: the flow has ended")
        with self._lock:
            self._scored += images

    def finish(self, images: int) -> None:
        """A task with so many images has ended."""
        self._finished += images

    def stop(self) -> None:
        """Let tasks in this process end at their next shard."""
        self._stopped = True

    def show(self, *, last: bool = False) -> None:
        """Tell how far it is; the artifact now and then, and once more at the end."""
        done = min(max(self._scored, self._finished), self._images)
        rate = done / max(time.monotonic() - self._started, 1e-9)
        self._also(Progress("score", done, self._images, "images", {"images/s": rate}))
        if last or self._bar.is_due:
            self._bar.show(done / max(self._images, 1), f"{done:,} of {self._images:,} images, {rate:,.0f}/s")


def show(summary: ScoreSummary, output: Path) -> None:
    """What a finished scoring has to show."""
    create_markdown_artifact(_markdown(summary, output), key="scoring-summary", description=summary.output)
    create_table_artifact(
        [{"digit": digit, "images": count} for digit, count in summary.digits.items()],
        key="digits-counted",
        description=f"{summary.ok:,} images with an answer",
    )
    create_table_artifact(
        [one.model_dump() for one in summary.first_errors],
        key="scoring-errors",
        description=f"the first {len(summary.first_errors)} of {summary.errors:,} images that could not be scored",
    )


def _markdown(summary: ScoreSummary, output: Path) -> str:
    rows = {
        "images": f"{summary.images:,}",
        "with an answer": f"{summary.ok:,}",
        "no digit": _counts(summary.no_digit, summary.no_digit_reasons),
        "errors": _counts(summary.errors, summary.errors_by_kind),
        "not looked at": _counts(sum(summary.skipped.values()), summary.skipped),
        "to note": "; ".join(remarks(summary)) or "nothing",
        "output": f"`{printable(output)}`",
        "SHA-256": f"`{summary.output_sha256}`",
        "model": f"{summary.model_version or summary.model} (`{summary.model_sha256[:12]}`)",
        "threshold": f"{summary.threshold.value:.4g}: {summary.threshold.source}",
        "speed": f"{summary.images_per_second:,.0f} images/s, {summary.seconds:.1f} s, {summary.workers} workers",
        "reused": f"{summary.reused:,}",
    }
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {_cell(value)} |" for name, value in rows.items())])


def _counts(total: int, kinds: dict[str, int]) -> str:
    if not total:
        return "0"
    return f"{total:,} (" + ", ".join(f"{kind}: {count:,}" for kind, count in kinds.items()) + ")"


def _cell(text: str) -> str:
    """A name of a file may hold what would end the cell."""
    return text.replace("|", "\\|").replace("\n", " ")
