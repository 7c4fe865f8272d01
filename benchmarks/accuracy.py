"""Test accuracy of presets over several seeds, and the error on images that are changed on purpose.

    MNIST_PIPELINE_SOURCE=... python benchmarks/accuracy.py [PRESET ...] [--seeds 5] [--folder benchmarks-accuracy]

Each finished training is one line of ``results.jsonl`` in the folder; run again, it goes on where it was
stopped, in the middle of a training too. Prints one JSON object: for each preset mean and standard
deviation of the accuracy over the seeds, and the mean error on each kind of changed test image.
"""

import argparse
import json
import os
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from mnist_pipeline.config import PRESETS, FetchConfig
from mnist_pipeline.data.dataset import Dataset, to_model_input
from mnist_pipeline.data.fetch import fetch_dataset
from mnist_pipeline.keras_backend import load_keras
from mnist_pipeline.runs.artifacts import FetchedDataset
from mnist_pipeline.training.augmentation import warp
from mnist_pipeline.training.fit import train_model
from mnist_pipeline.workspace import Workspace

Images = NDArray[np.uint8]


def main() -> None:
    """Train what is missing, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="*", default=["standard", "accurate"], metavar="PRESET")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("artifacts/benchmarks/accuracy"))
    arguments = parser.parse_args()
    workspace = Workspace(arguments.folder)
    dataset = fetch_dataset(FetchConfig(source=os.environ.get("MNIST_PIPELINE_SOURCE")), workspace)
    results = arguments.folder / "results.jsonl"
    for preset in arguments.presets:
        for seed in range(arguments.seeds):
            if not any(line["preset"] == preset and line["seed"] == seed for line in lines(results)):
                found = measure(preset, seed, dataset, workspace)
                with results.open("a") as file:
                    file.write(json.dumps(found) + "\n")
    summary = {preset: summarise([r for r in lines(results) if r["preset"] == preset]) for preset in arguments.presets}
    sys.stdout.write(json.dumps(summary, indent=2) + "\n")


def measure(preset: str, seed: int, dataset: FetchedDataset, workspace: Workspace) -> dict[str, Any]:
    """Train one model, and its errors on the test rows."""
    run = workspace.run(f"{preset}-{seed}")
    run.path.mkdir(parents=True, exist_ok=True)
    config = PRESETS[preset].model_copy(update={"seed": seed})
    trained = train_model(config, dataset, run, workspace.checkpoints / f"{preset}-{seed}")
    model = load_keras().models.load_model(run.model_keras)
    test = Dataset.open(dataset.directory).test
    images = np.asarray(test.images)

    def error(changed: Images) -> float:
        answers = model.predict(to_model_input(changed), batch_size=1_000, verbose=0).argmax(axis=1)
        return float((answers != test.labels).mean())

    return {
        "preset": preset,
        "seed": seed,
        "accuracy": 1 - error(images),
        "validation_accuracy": trained.validation_accuracy,
        "weights_sha256": trained.weights_sha256,
        "errors": {name: error(change(images)) for name, change in CHANGES.items()},
    }


def summarise(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation over the seeds."""
    accuracies = [result["accuracy"] for result in results]
    return {
        "seeds": len(results),
        "mean": statistics.mean(accuracies),
        "sd": statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0,
        "accuracies": accuracies,
        "errors": {name: statistics.mean(result["errors"][name] for result in results) for name in CHANGES},
    }


def lines(path: Path) -> list[dict[str, Any]]:
    """The results so far; a last line that was cut off is none."""
    whole = (
        [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")] if path.exists() else []
    )
    return [json.loads(line) for line in whole]


def moved(angle: float = 0, zoom: float = 0, down: float = 0, right: float = 0) -> Callable[[Images], Images]:
    """Each image changed to one side or the other, in turn; degrees, share, pixels."""

    def change(images: Images) -> Images:
        sides = np.where(np.arange(len(images)) % 2, 1.0, -1.0).astype(np.float32)[:, None]
        amounts = (sides * amount for amount in (np.radians(angle), 0, zoom, down, right))
        found = np.asarray(warp(to_model_input(images), *(a.astype(np.float32) for a in amounts)))
        changed: Images = np.rint(found[..., 0] * 255).astype(np.uint8)
        return changed

    return change


def noisy(images: Images) -> Images:
    """With Gaussian noise of standard deviation 0.2, where 1 is full ink."""
    noise = np.random.default_rng(0).normal(0, 0.2 * 255, images.shape)
    return np.clip(images + noise, 0, 255).astype(np.uint8)


def blurred(images: Images) -> Images:
    """Through a Gaussian blur with a radius of one pixel."""
    return np.stack([np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(1))) for image in images])


CHANGES: dict[str, Callable[[Images], Images]] = {
    "shifted 2 pixels": moved(down=2, right=2),
    "rotated 15 degrees": moved(angle=15),
    "scaled by 15 %": moved(zoom=0.15),
    "noisy, sd 0.2": noisy,
    "blurred, radius 1": blurred,
}


if __name__ == "__main__":
    main()
