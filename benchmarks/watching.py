"""What it costs a training to be watched.

    MNIST_PIPELINE_SOURCE=... python benchmarks/watching.py [--preset codelab] [--dataset mnist] [--rounds 5]

The step `train` in a process of its own, alone and with the command `serve` beside it, from which a watcher reads the
page and every event as they come; by turns, in a new workspace. The watcher draws nothing: what a browser computes is
its own. Prints one JSON object: seconds of fitting and CPU seconds of the process, of each round and as medians, how
many lines of its curve the watcher was told, and the medians of the quotients watched / alone.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.serving import server
from mnist_pipeline.config import FetchConfig
from mnist_pipeline.data.fetch import fetch_dataset
from mnist_pipeline.workspace import Workspace

LOOK = 0.1
"""Seconds between looks for the run that begins."""
TRAINING = """
import json, sys
from pathlib import Path
from mnist_pipeline import steps
from mnist_pipeline.config import PipelineConfig, parse_config
from mnist_pipeline.runs.run import Run
from mnist_pipeline.workspace import Workspace

config = parse_config(PipelineConfig, json.loads(sys.argv[1]))
run = Run.start(Workspace(Path(sys.argv[2])), config, fresh=True)
with run.ending():
    steps.train(config.training, steps.fetch(config.fetch, run), run)
    run.finish("finished")
print(run.directory.id)
"""


def main(words: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="codelab")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args(words)
    fetch = {"dataset": arguments.dataset, "source": os.environ.get("MNIST_PIPELINE_SOURCE")}
    config = json.dumps({"fetch": fetch, "training": {"preset": arguments.preset}})
    rounds: list[dict[str, dict[str, float]]] = []
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder).resolve())
        fetch_dataset(FetchConfig.model_validate(fetch), workspace)
        for number in range(arguments.rounds):
            found = {}
            for how in ("alone", "watched") if number % 2 else ("watched", "alone"):
                found[how] = (train if how == "alone" else watched)(config, workspace)
            rounds.append(found)
    print(json.dumps({"cpus": os.cpu_count(), **vars(arguments), "rounds": rounds, **summary(rounds)}, indent=2))


def train(config: str, workspace: Workspace) -> dict[str, float]:
    """Seconds of fitting, and CPU seconds of the whole process."""
    command = [sys.executable, "-P", "-W", "ignore", "-c", TRAINING, config, str(workspace.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        said = process.stdout.read() if process.stdout else b""
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit("the training failed")
    history = json.loads(workspace.run(said.decode().strip()).history.read_bytes())
    return {"fit": round(history["seconds"]["fit"], 3), "cpu": round(used.ru_utime + used.ru_stime, 3)}


def watched(config: str, workspace: Workspace) -> dict[str, float]:
    """The same with a watcher, and how many lines of the curve it was told."""
    before, over, told = runs(workspace), threading.Event(), Counter[str]()

    def watch() -> None:
        while not (new := runs(workspace) - before):
            if over.wait(LOOK):
                return
        [run] = new
        for path in (f"/runs/{run}", f"/runs/{run}/events"):
            connection = HTTPConnection(urlsplit(url).netloc, timeout=600)
            connection.request("GET", path)
            for line in connection.getresponse():
                if line.startswith(b"data: [{"):
                    told["lines"] += len(json.loads(line.removeprefix(b"data: ")))
            connection.close()

    with server("--workspace", str(workspace.root)) as url:
        watching = threading.Thread(target=watch)
        watching.start()
        try:
            found = train(config, workspace)
        finally:
            over.set()
            watching.join()
    return found | {"lines": told["lines"]}


def runs(workspace: Workspace) -> set[str]:
    """Those that have begun."""
    return {path.parent.name for path in workspace.runs.glob("*/run.json")}


def summary(rounds: list[dict[str, dict[str, float]]]) -> dict[str, object]:
    """Medians over the rounds, and of what a round's watched training took of its other one."""
    return {
        what: {how: round(statistics.median(one[how][what] for one in rounds), 3) for how in ("alone", "watched")}
        | {"watched / alone": round(statistics.median(one["watched"][what] / one["alone"][what] for one in rounds), 4)}
        for what in ("fit", "cpu")
    }


if __name__ == "__main__":
    main()
