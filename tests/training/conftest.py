"""Small, real trainings on the embedded digits: 1,150 train rows, 287 validation rows."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mnist_pipeline.config import TrainConfig
from mnist_pipeline.progress import Progress
from mnist_pipeline.runs.artifacts import FetchedDataset, TrainedModel
from mnist_pipeline.runs.training_history import TrainingHistory
from mnist_pipeline.training.fit import train_model
from mnist_pipeline.workspace import RunDirectory

SMALL = TrainConfig(preset="codelab-full", learning_rate=0.005, batch_size=64, epochs=5, seed=3)
"""Learns the digits in about two seconds. 18 batches an epoch; the last one holds 62 rows."""


@dataclass(frozen=True)
class Training:
    """One finished training."""

    config: TrainConfig
    result: TrainedModel
    run: RunDirectory
    checkpoints: Path
    progress: list[Progress] = field(default_factory=list)

    @property
    def history(self) -> TrainingHistory:
        return TrainingHistory.model_validate_json(self.run.history.read_bytes())


Train = Callable[..., Training]


@pytest.fixture(scope="session")
def train(digits_dataset: FetchedDataset, tmp_path_factory: pytest.TempPathFactory) -> Train:
    """Train ``config`` with changes, in a new run directory; ``checkpoints`` may name an old folder."""

    def train(config: TrainConfig = SMALL, *, checkpoints: Path | None = None, **changes) -> Training:
        config = TrainConfig.model_validate(config.model_dump() | changes)
        folder = tmp_path_factory.mktemp("training")
        run = RunDirectory(folder / "run")
        run.path.mkdir()
        checkpoints = checkpoints or folder / "checkpoints"
        progress: list[Progress] = []
        result = train_model(config, digits_dataset, run, checkpoints, progress.append)
        return Training(config, result, run, checkpoints, progress)

    return train


@pytest.fixture(scope="session")
def small(train: Train) -> Training:
    """The training of `SMALL`. Read it, do not write to its folder."""
    return train()
