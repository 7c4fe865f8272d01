"""Fixed costs that a user feels: how long the commands take that do little.

    python benchmarks/startup.py [--repeat 5]

Prints one JSON object: for each command the median, least and largest seconds of the whole process,
and of a warm fetch inside one. Uses the dataset that MNIST_PIPELINE_SOURCE names, else the digits.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from mnist_pipeline.config import FetchConfig
from mnist_pipeline.data.fetch import fetch_dataset
from mnist_pipeline.registry import History, Registry
from mnist_pipeline.workspace import Workspace

MODEL = "many"
COMMAND = [sys.executable, "-m", "mnist_pipeline"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    repeat = parser.parse_args().repeat
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder), repeat), indent=2))


def measure(folder: Path, repeat: int) -> dict[str, object]:
    """Seconds of each command, ``repeat`` times."""
    workspace, images = folder / "workspace", folder / "images"
    source = os.environ.get("MNIST_PIPELINE_SOURCE")
    dataset = ["--dataset", "mnist" if source else "digits"]
    images.mkdir()
    Image.new("L", (28, 28)).save(images / "blank.png")
    preset = "codelab" if source else "standard"
    run_all = ["run-all", *dataset, "--preset", preset, "--workspace", str(workspace), "-q"]
    first = seconds(lambda: run(*run_all))
    score = ["score", str(images), "--output", str(folder / "out.csv"), "--overwrite", "--workspace", str(workspace)]
    config = FetchConfig(dataset=dataset[1], source=source)
    many = ten_thousand_versions(folder / "models", workspace / "models" / dataset[1])
    return {
        "cpus": os.cpu_count(),
        "run-all, nothing to reuse": {"once": first},
        "run-all, everything reused": spread(repeat, lambda: run(*run_all)),
        "--help": spread(repeat, lambda: run("--help")),
        "score, one image": spread(repeat, lambda: run(*score, "-q")),
        "report, drawn again": spread(repeat, lambda: run("report", "--workspace", str(workspace))),
        "models list, 10,000 versions, in process": spread(repeat, lambda: len(many.versions(MODEL))),
        "warm fetch, in process": spread(repeat, lambda: fetch_dataset(config, Workspace(workspace))),
    }


def ten_thousand_versions(root: Path, model: Path) -> Registry:
    """A registry whose history says that the one version of ``model`` was published 10,000 times, under other names."""
    history = History.parse((model / "history.jsonl").read_bytes(), "history.jsonl")
    published = next(change for change in history.changes if change.action == "publish")
    changes = [published.model_copy(update={"after": f"{number:012x}"}) for number in range(10_000)]
    (root / MODEL).mkdir(parents=True)
    for change in changes:
        (root / MODEL / str(change.after)).mkdir()
    (root / MODEL / "history.jsonl").write_bytes(History.parse(b"", "empty").encode(changes))
    return Registry(root)


def run(*arguments: str) -> None:
    """One command, as a process of its own."""
    subprocess.run([*COMMAND, *arguments], check=True, stdout=subprocess.DEVNULL)


def seconds(work: Callable[[], object]) -> float:
    """Of one call."""
    start = time.perf_counter()
    work()
    return round(time.perf_counter() - start, 3)


def spread(repeat: int, work: Callable[[], object]) -> dict[str, float]:
    """Median, least and largest, after one call that is not counted."""
    work()
    found = [seconds(work) for _ in range(repeat)]
    return {"median": statistics.median(found), "least": min(found), "largest": max(found)}


if __name__ == "__main__":
    main()
