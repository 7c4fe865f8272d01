"""A training in a process of its own: tells on stdout each part of an epoch, each whole epoch, and how it ended."""

import sys
from pathlib import Path

from mnist_pipeline.config import TrainConfig
from mnist_pipeline.progress import Progress
from mnist_pipeline.runs.artifacts import FetchedDataset
from mnist_pipeline.training.fit import train_model
from mnist_pipeline.workspace import RunDirectory


def tell(progress: Progress) -> None:
    sys.stdout.write(f"{progress.activity} {'whole' if 'val_loss' in progress.metrics else 'part'}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    config, dataset, run, checkpoints = sys.argv[1:]
    result = train_model(
        TrainConfig.model_validate_json(config),
        FetchedDataset.model_validate_json(dataset),
        RunDirectory(Path(run)),
        Path(checkpoints),
        tell,
    )
    sys.stdout.write(f"finished {result.weights_sha256}\n")
