"""Where the seconds of a whole run go, step by step and part by part.

    MNIST_PIPELINE_SOURCE=... python benchmarks/whole_run.py [--preset standard] [--dataset mnist] [--command]

The steps of ``mnist-pipeline run-all``, one after the other in this process, in a new workspace. ``--command`` runs the
command as well: what it takes beyond its steps is the start of Python and of Prefect's server, and the flow. Parts are
functions, named as in the code; what a step spends in none of them is its ``rest``. A part that imports a library for
the first time pays for it. ``not training`` is everything but the fitting of the two networks. Prints one JSON object.
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from mnist_pipeline import steps
from mnist_pipeline.config import FetchConfig, PipelineConfig, parse_config
from mnist_pipeline.runs.run import Run
from mnist_pipeline.workspace import Workspace

PARTS: Mapping[str, tuple[str, ...]] = {
    "fetch": (),
    "train": (
        "training.devices.load_keras",
        "training.network.other_hands",
        "training.loop.Network.compile",
        "training.loop.Network.fit",
        "training.loop.Network.validate",
        "training.checkpoint.CheckpointStore.save",
        "training.fit.save_model",
    ),
    "novelty": ("training.novelty.draw_blocks", "training.novelty.moved", "training.novelty._compiled"),
    "export": (
        "export.step.load_keras_model",
        "export.step.convert",
        "export.step.with_limits",
        "export.step.predict",
        "export.step.prove",
    ),
    "evaluate": ("evaluation.evaluate.predict", "evaluation.evaluate.time_calls"),
    "publish": ("publishing.publish.validate_in_fresh_process", "publishing.publish.write_report"),
}
"""Step -> its parts; none is called by another one."""
REFUSED = 3
"""Exit code of a run that finished, and whose candidate the gate refused."""
FITTING = {"train": "training.loop.Network.fit", "novelty": "rest"}


def main(words: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="standard")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--command", action="store_true", help="measure the command as well")
    arguments = parser.parse_args(words)
    fetch = FetchConfig(dataset=arguments.dataset, source=os.environ.get("MNIST_PIPELINE_SOURCE"))
    config = parse_config(PipelineConfig, {"fetch": fetch.model_dump(), "training": {"preset": arguments.preset}})
    with tempfile.TemporaryDirectory() as folder:
        found: dict[str, Any] = {"preset": arguments.preset, "cpus": os.cpu_count()} | of_steps(config, Path(folder))
        if arguments.command:
            found["command"] = of_command(arguments.preset, arguments.dataset, Path(folder) / "again")
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


def of_steps(config: PipelineConfig, folder: Path) -> dict[str, Any]:
    """Seconds of every step, and of its parts."""
    run = Run.start(Workspace(folder), config)
    seconds: dict[str, dict[str, float]] = {}

    def step(name: str, *given: Any) -> Any:
        with timed(PARTS[name]) as parts:
            started = time.perf_counter()
            made = getattr(steps, name)(*given, run)
            taken = time.perf_counter() - started
        seconds[name] = {"all": taken} | parts | {"rest": taken - sum(parts.values())}
        return made

    dataset = step("fetch", config.fetch)
    trained = step("train", config.training, dataset)
    exported = step("export", config.export, dataset, trained, step("novelty", dataset))
    evaluated = step("evaluate", config.evaluation, dataset, exported)
    step("publish", config.publishing, dataset, trained, exported, evaluated)
    whole = sum(one["all"] for one in seconds.values())
    fitting = sum(seconds[name][part] for name, part in FITTING.items())
    return {"seconds": _rounded(seconds), "all": round(whole, 2), "not training": round(whole - fitting, 2)}


@contextmanager
def timed(names: tuple[str, ...]) -> Iterator[dict[str, float]]:
    """The seconds that calls of these functions take within the block, in all; they may not call each other."""
    spent = dict.fromkeys(names, 0.0)

    def watched(name: str, function: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            started = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                spent[name] += time.perf_counter() - started

        return call

    with ExitStack() as stack:
        for name in names:
            owner, attribute = _find(name)
            stack.enter_context(mock.patch.object(owner, attribute, watched(name, getattr(owner, attribute))))
        yield spent


def _find(name: str) -> tuple[Any, str]:
    """The module or class that holds a part, and its name there."""
    *path, attribute = name.split(".")
    owner = importlib.import_module(".".join(["mnist_pipeline", *path[:2]]))
    return getattr(owner, path[2]) if path[2:] else owner, attribute


def of_command(preset: str, dataset: str, workspace: Path) -> dict[str, float]:
    """Whole process, and what it takes beyond its steps."""
    words = ["run-all", "--preset", preset, "--dataset", dataset, "--workspace", str(workspace), "--json"]
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-P", "-m", "mnist_pipeline", *words], stdout=subprocess.PIPE, check=False)
    taken = time.perf_counter() - started
    if done.returncode not in {0, REFUSED}:
        raise SystemExit(f"run-all failed with exit code {done.returncode}")
    of_its_steps = sum(json.loads(done.stdout)["seconds"].values())
    return {"all": round(taken, 2), "steps": round(of_its_steps, 2), "beyond": round(taken - of_its_steps, 2)}


def _rounded(seconds: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    return {step: {part: round(taken, 2) for part, taken in parts.items()} for step, parts in seconds.items()}


if __name__ == "__main__":
    main()
