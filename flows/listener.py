"""Who is told how far a flow is: the command that runs it in its own process, nobody elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from mnist_pipeline.progress import ReportProgress, no_progress

_listener: ContextVar[ReportProgress] = ContextVar("listener", default=no_progress)


@contextmanager
def listening(report_progress: ReportProgress) -> Iterator[None]:
    """Flows that run in the block, in this process, report their progress to the function."""
    token = _listener.set(report_progress)
    try:
        yield
    finally:
        _listener.reset(token)


def listener() -> ReportProgress:
    """Who listens now."""
    return _listener.get()
