"""What one server holds as long as it runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from starlette.exceptions import HTTPException

from mnist_pipeline.labels.review import Review
from mnist_pipeline.web.metrics import Metrics
from mnist_pipeline.web.model import FollowedModel
from mnist_pipeline.web.workers import Workers


@dataclass(slots=True)
class Places:
    """Requests that may be under way at once; who comes when all are taken is sent away."""

    count: int
    in_use: int = 0

    @contextmanager
    def taken(self) -> Iterator[None]:
        """One place, for as long as the block lasts.

        Raises:
            HTTPException: 429, all are taken.
        """
        if self.in_use >= self.count:
            raise HTTPException(429, f"{self.count} requests are being answered; try again", {"retry-after": "1"})
        self.in_use += 1
        try:
            yield
        finally:
            self.in_use -= 1


@dataclass(slots=True)
class State:
    """Of one server.

    Attributes:
        workspace: whose runs and models are shown.
        model: what answers.
        workers: the processes that do.
        places: for requests.
        max_bytes: of a request.
        review: images that people are asked about.
    """

    workspace: Path
    registry: str | None
    model: FollowedModel
    workers: Workers
    places: Places
    max_bytes: int
    review: Review | None = None
    metrics: Metrics = field(default_factory=Metrics)
