"""How fast training is, side by side with bare Keras in the same process.

    MNIST_PIPELINE_SOURCE=... python benchmarks/training.py [--rounds 15] [--target 0.983] [--fit PRESET ...]

Prints one JSON object: images a second of our training loop and of ``keras.Model.fit`` on the same model and
batches; seconds of fitting until the target accuracy on the test rows, with ``standard`` and with
``codelab-full`` (which goes on for as many epochs as it takes); and seconds of a whole fitting with each preset
that ``--fit`` names: all but ``ensemble`` where it is not given, about twelve minutes on two cores. Imports and
compilation are told apart. The test rows are only measured here; nothing is chosen by them.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mnist_pipeline.config import PRESETS, FetchConfig, TrainConfig
from mnist_pipeline.data.dataset import Dataset, to_model_input, to_one_hot
from mnist_pipeline.data.fetch import fetch_dataset
from mnist_pipeline.keras_backend import import_seconds, load_keras
from mnist_pipeline.runs.artifacts import FetchedDataset
from mnist_pipeline.runs.training_history import TrainingHistory
from mnist_pipeline.training.architectures import build_model
from mnist_pipeline.training.batching import Batching
from mnist_pipeline.training.devices import require_device, training_scope
from mnist_pipeline.training.fit import train_model
from mnist_pipeline.training.network import Network, TrainingData
from mnist_pipeline.workspace import Workspace

PART = 40 * 512
"""Rows of a turn of a loop: short turns, so that a machine that slows down slows both loops down."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="turns of each loop")
    parser.add_argument("--target", type=float, default=0.983, help="test accuracy to reach")
    parser.add_argument("--fit", nargs="*", default=[p for p in PRESETS if p != "ensemble"])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        dataset = fetch_dataset(FetchConfig(source=os.environ.get("MNIST_PIPELINE_SOURCE")), workspace)
        found: dict[str, object] = {
            "cpus": os.cpu_count(),
            "device": require_device("auto"),
            "imports": import_seconds(),
        }
        found["images a second"] = throughput(dataset, arguments.rounds)
        found["seconds to target"] = to_target(dataset, arguments.target)
        found["seconds of fitting"] = {name: whole_fit(PRESETS[name], dataset, workspace) for name in arguments.fit}
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


def throughput(dataset: FetchedDataset, rounds: int) -> dict[str, object]:
    """Images a second of both loops, in turn on the same rows, after a compilation that is not counted."""
    config = PRESETS["codelab-full"]
    data = Dataset.open(dataset.directory)
    device = require_device("auto")
    batching = Batching.of(config, len(data.train), seed=0)
    with training_scope(device, "single"):
        ours = Network(config, TrainingData.of(data), batching, device)
        ours.compile()
        images, labels = to_model_input(data.train.images), to_one_hot(data.train.labels)
        bare = bare_keras(config)
        bare.fit(images[: 2 * config.batch_size], labels[: 2 * config.batch_size], config.batch_size, verbose=0)
        speeds: dict[str, list[float]] = {"ours": [], "keras.Model.fit": []}
        for number in range(1, rounds + 1):
            rows = batching.order(1 + number % batching.epochs)[:PART]
            part = images[rows], labels[rows]
            loops = {
                "ours": partial(ours.fit, rows, 0, lambda *_: None),
                "keras.Model.fit": partial(bare.fit, *part, config.batch_size, verbose=0),
            }
            for name in sorted(loops, reverse=bool(number % 2)):  # neither is always the first
                speeds[name].append(len(rows) / seconds(loops[name]))
    medians = [statistics.median(found) for found in speeds.values()]
    return {name: [round(s) for s in found] for name, found in speeds.items()} | {"ratio": medians[0] / medians[1]}


def bare_keras(config: TrainConfig) -> Any:
    """The same network as one would train it by hand."""
    model = build_model(config.architecture, seed=0)
    model.compile(
        optimizer=load_keras().optimizers.Adam(config.learning_rate),
        loss="categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def to_target(dataset: FetchedDataset, target: float) -> dict[str, Any]:
    """Both trainings' way to ``target``, and the share of the codelab's seconds that ``standard`` needs."""
    endless = PRESETS["codelab-full"].model_copy(update={"epochs": 50})  # its learning rate is constant
    configs = {"standard": PRESETS["standard"], "codelab-full": endless}
    found: dict[str, Any] = {name: seconds_to(config, dataset, target) for name, config in configs.items()}
    ours, theirs = (found[name]["seconds"] for name in configs)
    return found | {"share": ours / theirs if ours and theirs else None}


def seconds_to(config: TrainConfig, dataset: FetchedDataset, target: float) -> dict[str, float | None]:
    """Seconds of fitting until the test accuracy after an epoch reaches ``target``; None where it never does."""
    data = Dataset.open(dataset.directory, validation_rows=config.validation_rows)
    test, truth = to_model_input(data.test.images), data.test.labels
    device = require_device("auto")
    batching = Batching.of(config, len(data.train), seed=1)
    with training_scope(device, "single"):
        network = Network(config, TrainingData.of(data), batching, device)
        compiled, fitted, accuracy = network.compile(), 0.0, 0.0
        for epoch in range(1, batching.epochs + 1):
            fitted += seconds(network.fit, batching.order(epoch), batching.batches_before(epoch), lambda *_: None)
            answers = [np.asarray(network.core(test[i : i + 1_000])).argmax(axis=1) for i in range(0, len(test), 1_000)]
            accuracy = float((np.concatenate(answers) == truth).mean())
            if accuracy >= target:
                return {"seconds": fitted, "epochs": epoch, "accuracy": accuracy, "compile": compiled}
    return {"seconds": None, "epochs": batching.epochs, "accuracy": accuracy, "compile": compiled}


def whole_fit(config: TrainConfig, dataset: FetchedDataset, workspace: Workspace) -> dict[str, float | None]:
    """Seconds of fitting, validation and checkpoints included."""
    run = workspace.run(config.preset)
    run.path.mkdir(parents=True)
    trained = train_model(config, dataset, run, workspace.checkpoints / config.preset)
    history = TrainingHistory.model_validate_json(run.history.read_bytes())
    return {
        "seconds": history.seconds.fit,
        "compile": history.seconds.compile,
        "validation accuracy": trained.validation_accuracy,
    }


def seconds(work: Any, *arguments: Any, **options: Any) -> float:
    """Of one call."""
    started = time.perf_counter()
    work(*arguments, **options)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
