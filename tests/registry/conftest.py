"""A registry in an empty folder, and small models to publish."""

import datetime as dt
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import pytest

from mnist_pipeline.registry import PublishedVersion, Registry


@pytest.fixture(scope="session")
def load() -> Callable[[str], ModuleType]:
    """Import a helper module that lies beside this file."""

    def load_beside(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"registry_{name}", Path(__file__).with_name(f"{name}.py"))
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
        return module

    return load_beside


@pytest.fixture(scope="session")
def samples(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("samples")


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
def publish(registry: Registry, tmp_path: Path, samples: ModuleType, clock: Clock) -> Publish:
    """Publish the model of a seed; the clock goes on by a minute."""

    def publish_seed(seed: int, model: str = "mnist", **kwargs: object) -> PublishedVersion:
        clock.forward(minutes=1)
        published: PublishedVersion = samples.publish(registry, model, tmp_path, seed, **kwargs)
        return published

    return publish_seed
