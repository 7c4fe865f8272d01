"""What a GPU is worth, side by side with bare Keras on the same card and with this machine's CPUs. Under ten minutes.

    MNIST_PIPELINE_SOURCE=... python benchmarks/gpu.py [--model model.onnx] [--seconds 60] [--target 0.995] [--quick]

``training``  for `standard` and `accurate`: images a second, and seconds of fitting until the test accuracy after an
              epoch reaches the target, of our loop and of ``keras.Model.fit`` (the same network and batches, Adam);
              null where it is not reached in the preset's epochs or the seconds that each may take. Keras' backend is
              TensorFlow where that is installed, else JAX. The test rows are only measured; nothing is chosen by them.
``model``     where each node of model.onnx ran, as onnxruntime's profiler tells; the largest differences from what the
              CPU says of the test rows; images a second of the probabilities. The model is the one that is named, or
              the codelab's network, untrained, for which TensorFlow must be installed.
``score``     whole ``mnist-pipeline score`` processes on PNG files, on the GPU and on the CPU: images a second, and how
              many rows name another digit.

What cannot be measured is said instead. ``--quick`` runs all of it on a CPU, on the embedded digits. Prints one JSON.
"""

import argparse
import csv
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnist_pipeline.config import PRESETS, FetchConfig, TrainConfig
from mnist_pipeline.data.dataset import Dataset, to_model_input, to_one_hot
from mnist_pipeline.data.fetch import fetch_dataset
from mnist_pipeline.inference import Classifier, gpu_problem
from mnist_pipeline.inference.classifier import GPU_BATCH
from mnist_pipeline.inference.contract import INPUT
from mnist_pipeline.inference.sessions import CPU, CUDA, CUDA_OPTIONS
from mnist_pipeline.runs.artifacts import FetchedDataset
from mnist_pipeline.workspace import Workspace

SEED = 1
AT_ONCE = 1_000
"""Test rows that Keras answers at once."""
TRAINED = ("standard", "accurate")
"""Presets; with ``--quick`` the first."""
REPEATS, BATCHES = 5, 20
"""Of the model alone; with ``--quick`` a single batch."""


def main(words: list[str] | None = None) -> None:
    """Measure and print."""
    started = time.perf_counter()
    arguments = parse(words)
    if not importlib.util.find_spec("tensorflow"):
        os.environ.setdefault("KERAS_BACKEND", "jax")
    with tempfile.TemporaryDirectory() as folder:
        found = measure(arguments, Path(folder))
    found["seconds"] = round(time.perf_counter() - started, 1)
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


def parse(words: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="model.onnx of a run")
    parser.add_argument("--seconds", type=float, default=60, help="of each training; its last epoch is finished")
    parser.add_argument("--target", type=float, default=0.995, help="test accuracy to reach")
    parser.add_argument("--files", type=int, default=30_000, help="images to score")
    parser.add_argument("--quick", action="store_true", help="little of everything, on the CPU")
    return parser.parse_args(words)


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, object]:
    """All three parts."""
    source = os.environ.get("MNIST_PIPELINE_SOURCE")
    fetch = FetchConfig(dataset="digits") if arguments.quick else FetchConfig(source=source)
    dataset = fetch_dataset(fetch, Workspace(folder))
    found: dict[str, object] = {
        "card": "not asked: --quick" if arguments.quick else card(),
        "cpus": os.cpu_count(),
        "dataset": dataset.name,
        "training": training(dataset, arguments),
    }
    problem = "--quick" if arguments.quick else gpu_problem()
    device = "cpu" if problem else "gpu"
    model = arguments.model or untrained_model(folder)
    if model is None:
        return found | {
            "model": "not measured: the backend is not TensorFlow, which exports one; name one with --model"
        }
    images = np.asarray(Dataset.open(dataset.directory).test.images)
    files = 200 if arguments.quick else arguments.files
    return found | {
        "onnxruntime on the CPU because": problem,
        "model": model_on(device, model, images, 1 if arguments.quick else BATCHES, folder),
        "score": score_on(device, model, images, files, folder),
    }


def card() -> str:
    """Name, memory and driver of the first GPU."""
    command = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError) as error:
        return f"unknown: {error}"


def training(dataset: FetchedDataset, arguments: argparse.Namespace) -> dict[str, object]:
    """Each preset, ours and bare Keras."""
    from mnist_pipeline.keras_backend import import_seconds, load_keras
    from mnist_pipeline.training.devices import require_device, training_scope

    device = require_device("cpu" if arguments.quick else "gpu")
    found: dict[str, object] = {
        "backend": f"Keras {load_keras().version()} on {load_keras().backend.backend()}",
        "device": device,
        "imports": import_seconds(),
    }
    for preset in TRAINED[:1] if arguments.quick else TRAINED:
        config = PRESETS[preset]
        if arguments.quick:
            config = config.model_copy(update={"epochs": 2, "min_batches": 1})
        with training_scope(device, "single"):
            limits = arguments.target, arguments.seconds
            found[preset] = {
                "ours": ours(config, dataset, device, *limits),
                "keras.Model.fit": bare_keras(config, dataset, *limits),
            }
    return found


def ours(config: TrainConfig, dataset: FetchedDataset, device: Any, target: float, limit: float) -> dict[str, object]:
    """Our loop, with everything that the preset does to the images."""
    from mnist_pipeline.training.architectures import build_model
    from mnist_pipeline.training.batching import Batching
    from mnist_pipeline.training.network import Network, TrainingData

    rows = Dataset.open(dataset.directory, validation_rows=config.validation_rows)
    data = TrainingData.of(rows, config.drawn_share, SEED)
    batching = Batching.of(config, data.train, seed=SEED)
    network = Network(config, data, batching, device)
    compiled = network.compile()
    kept = build_model(config.architecture, 0)

    def fit(epoch: int) -> int:
        order = batching.order(epoch)
        network.fit(order, batching.batches_before(epoch), lambda *_: None)
        return len(order)

    def accuracy() -> float:
        kept.set_weights(network.weights())
        return accuracy_of(kept, rows)

    return {"compile": compiled} | way_to(target, limit, batching.epochs, fit, accuracy)


def bare_keras(config: TrainConfig, dataset: FetchedDataset, target: float, limit: float) -> dict[str, object]:
    """The same network as one would train it by hand: in as many epochs, the images as they are."""
    from mnist_pipeline.training.architectures import build_model

    rows = Dataset.open(dataset.directory, validation_rows=config.validation_rows)
    images, labels = to_model_input(rows.train.images), to_one_hot(rows.train.labels)
    model = build_model(config.architecture, SEED)
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    started = time.perf_counter()
    whole = (len(images) // config.batch_size - 1) * config.batch_size  # what is left is compiled for, too
    weights = model.get_weights()
    model.fit(images[whole:], labels[whole:], config.batch_size, verbose=0)
    model.set_weights(weights)
    compiled = time.perf_counter() - started

    def fit(_: int) -> int:
        model.fit(images, labels, config.batch_size, verbose=0)
        return len(images)

    return {"compile": compiled} | way_to(target, limit, config.epochs, fit, lambda: accuracy_of(model, rows))


def accuracy_of(model: Any, rows: Dataset) -> float:
    """On the test rows."""
    images = to_model_input(rows.test.images)
    answers = model.predict(images, batch_size=AT_ONCE, verbose=0).argmax(axis=1)
    return float((answers == rows.test.labels).mean())


def way_to(
    target: float, limit: float, epochs: int, fit: Callable[[int], int], accuracy: Callable[[], float]
) -> dict[str, object]:
    """Epoch by epoch, until the target is reached and there are two epochs to tell the speed by."""
    fitted, speeds, reached, best = 0.0, [], None, 0.0
    for epoch in range(1, epochs + 1):
        started = time.perf_counter()
        images = fit(epoch)
        taken = time.perf_counter() - started
        fitted, speeds = fitted + taken, [*speeds, images / taken]
        best = max(best, accuracy())
        if reached is None and best >= target:
            reached = fitted
        if fitted > limit or (reached is not None and epoch > 1):
            break
    return {
        "images_per_second": statistics.median(speeds[1:] or speeds),  # the first epoch warms up
        "seconds_to_target": reached,
        "epochs": len(speeds),
        "seconds": fitted,
        "best_accuracy": best,
    }


def untrained_model(folder: Path) -> Path | None:
    """The codelab's network and the one for "no digit" as model.onnx; None without TensorFlow."""
    if os.environ.get("KERAS_BACKEND") == "jax":
        return None
    from benchmarks.scoring import prepare_model

    prepare_model(folder)
    return folder / "model.onnx"


def model_on(device: Any, model: Path, images: NDArray[np.uint8], batches: int, folder: Path) -> dict[str, object]:
    """Where the nodes ran, what they said, and how fast, by so many batches."""
    there, here = Classifier.load(model, device=device), Classifier.load(model, device="cpu")
    found, expected = there.answers(images), here.answers(images)
    differences = [
        None if one is None or other is None else float(np.abs(one - other).max())
        for one, other in zip(found, expected, strict=True)
    ]
    many = np.resize(images, (batches * GPU_BATCH, *images.shape[1:]))
    return {
        "nodes": nodes(device, model, images, folder),
        "largest_difference": dict(zip(found._fields, differences, strict=True)),
        "images_per_second": {
            name: len(many) / statistics.median(seconds(one.probabilities, many) for _ in range(REPEATS))
            for name, one in ((there.provider, there), (here.provider, here))
        },
    }


def nodes(device: str, model: Path, images: NDArray[np.uint8], folder: Path) -> dict[str, object]:
    """Provider -> nodes that it ran, for the whole graph; and whether one ran them all."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    providers: list[Any] = [CPU] if device == "cpu" else [(CUDA, CUDA_OPTIONS), CPU]
    session = onnxruntime.InferenceSession(model, options, providers=providers)
    session.run(None, {INPUT: images[:AT_ONCE]})
    events = json.loads(Path(session.end_profiling()).read_text())
    ran = [event for event in events if event.get("cat") == "Node" and event["name"].endswith("_kernel_time")]
    counts = Counter(event["args"]["provider"] for event in ran)
    wanted = CPU if device == "cpu" else CUDA
    elsewhere = sorted({event["args"]["op_name"] for event in ran if event["args"]["provider"] != wanted})
    return {"ran": dict(counts), "all_on": None if elsewhere or not ran else wanted, "elsewhere": elsewhere}


def score_on(device: str, model: Path, images: NDArray[np.uint8], files: int, folder: Path) -> dict[str, object]:
    """Whole processes, on the device and on the CPU in turn."""
    place = folder / "images"
    for number in range(files):
        path = place / f"{number % 10}" / f"{number:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[number % len(images)]).save(path, compress_level=1)
    speeds: dict[str, float] = {}
    digits: list[list[str]] = []
    told: dict[str, Any] = {}
    for where in (device, "cpu"):
        output = folder / f"{len(digits)}.csv"
        command = [
            sys.executable,
            "-P",
            "-m",
            "mnist_pipeline",
            "score",
            place,
            "--output",
            output,
            "--json",
            "--quiet",
        ]
        command += ["--model", model, "--device", where]
        started = time.perf_counter()
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
        speeds[f"{len(digits) + 1}: {where}"] = files / (time.perf_counter() - started)
        told[f"{len(digits) + 1}: {where}"] = {key: json.loads(done.stdout)[key] for key in ("provider", "workers")}
        with output.open(newline="") as file:
            digits.append([row["digit"] for row in csv.DictReader(file)])
    shutil.rmtree(place)
    other = sum(one != two for one, two in zip(*digits, strict=True))
    return {"files": files, "images_per_second": speeds, "ran": told, "other_digits": other}


def seconds(work: Callable[..., object], *arguments: object) -> float:
    """Of one call."""
    started = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
