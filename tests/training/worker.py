"""A training in a process of its own: tells on stdout each part of an epoch, each whole epoch, and how it ended."""

import sys
from collections.abc import Mapping
from pathlib import Path

from mnist_pipeline.config import TrainConfig
from mnist_pipeline.progress import Progress
from mnist_pipeline.runs.artifacts import FetchedDataset
from mnist_pipeline.training.fit import train_model
from mnist_pipeline.workspace import RunDirectory
from tests.support.forks import Fork, Forks


def start(
    forks: Forks,
    config: TrainConfig,
    dataset: FetchedDataset,
    folder: Path,
    *,
    before: str = "",
    after: str = "",
    environment: Mapping[str, str] | None = None,
) -> Fork:
    """Begin it in ``folder / "run"``, with checkpoints beside it; code may stand before it and after it."""
    (folder / "run").mkdir(exist_ok=True)
    code = f"{before}\nfrom tests.training.worker import main\nmain()\n{after}"
    arguments = config.model_dump_json(), dataset.model_dump_json(), folder / "run", folder / "checkpoints"
    return forks.start(code, *arguments, environment=forks.environment | (environment or {}))


def main() -> None:
    config, dataset, run, checkpoints = sys.argv[1:]
    result = train_model(
        TrainConfig.model_validate_json(config),
        FetchedDataset.model_validate_json(dataset),
        RunDirectory(Path(run)),
        Path(checkpoints),
        tell,
    )
    sys.stdout.write(f"finished {result.weights_sha256}\n")


def tell(progress: Progress) -> None:
    sys.stdout.write(f"{progress.activity} {'whole' if 'val_loss' in progress.metrics else 'part'}\n")
    sys.stdout.flush()
