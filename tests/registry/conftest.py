"""A registry in an empty folder, and small models to publish."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mnist_pipeline.registry import PublishedVersion, Registry
from tests.support import samples


@dataclass
class Clock:
    """A clock that stands still until it is told to go on."""

    now: dt.datetime = field(default_factory=lambda: dt.datetime(2026, 1, 1, tzinfo=dt.UTC))

    def __call__(self) -> dt.datetime:
        return self.now

    def forward(self, **delta: float) -> None:
        self.now += dt.timedelta(**delta)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry(tmp_path: Path, clock: Clock) -> Registry:
    return Registry(tmp_path / "models", clock=clock)


Publish = Callable[..., PublishedVersion]


@pytest.fixture
def publish(registry: Registry, tmp_path: Path, clock: Clock) -> Publish:
    """Publish the model of a seed; the clock goes on by a minute."""

    def publish_seed(seed: int, model: str = "mnist", **kwargs: object) -> PublishedVersion:
        clock.forward(minutes=1)
        published: PublishedVersion = samples.publish(registry, model, tmp_path, seed, **kwargs)
        return published

    return publish_seed
