"""How far a flow is: told to the command that runs it in its own process, and shown in the Prefect UI."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import cast
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from mnist_pipeline.progress import ReportProgress, no_progress

UPDATE_SECONDS = 2.0
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
    """Who listens now; nobody in a worker."""
    return _listener.get()


class Bar:
    """A progress artifact.

    Args:
        key: its name.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._updated = time.monotonic()
        self._id: UUID | None = None

    @property
    def is_due(self) -> bool:
        """Whether it was last updated `UPDATE_SECONDS` ago."""
        return time.monotonic() - self._updated >= UPDATE_SECONDS

    def show(self, share: float, description: str) -> None:
        """Update it: the share that is done, in [0, 1], and what is going on."""
        self._updated = time.monotonic()
        if self._id is None:
            created = create_progress_artifact(100 * share, key=self._key, description=description)
            self._id = cast(UUID, created)  # typed for async callers as well
        else:
            update_progress_artifact(self._id, progress=100 * share, description=description)
