"""How fast the server answers when many ask at once, beside the model alone.

    python benchmarks/serving.py MODEL [--workspace DIR] [--requests 1000] [--clients 16]

MODEL is champion, a version, or FILE.onnx. The command `serve` runs as users start it; clients in this process send it
one drawn digit, a PNG of 560 x 560 pixels as the page sends them, each over a connection of its own that stays open.
Prints one JSON object: how many requests were answered with 200, and milliseconds (median and 99th percentile) of a
request with so many clients, of one client alone, of the same image read and classified in this process, and of the
model on the 28 x 28 pixels.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np

from benchmarks.drawn_forms import by_hand
from mnist_pipeline import MAX_PIXELS
from mnist_pipeline.inference import Classifier
from mnist_pipeline.registry.lookup import find_scoring_model
from mnist_pipeline.rejection.rule import choose_threshold
from mnist_pipeline.scoring.items import Preprocessing
from mnist_pipeline.scoring.single import classify_image
from mnist_pipeline.scoring.sources.reading import BytesReader

SIDE = 560
"""Of the page's drawing area."""
WARM = 20
"""Requests before those that count."""


def main(words: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--workspace", type=Path, default=Path("artifacts"))
    parser.add_argument("--requests", type=int, default=1_000)
    parser.add_argument("--clients", type=int, default=16)
    arguments = parser.parse_args(words)
    image = drawn()
    with server("--model", arguments.model, "--workspace", str(arguments.workspace)) as url:
        together, seconds, answered = ask(url, image, arguments.requests, arguments.clients)
        alone, _, _ = ask(url, image, max(arguments.requests // 5, 1), 1)
    found = {
        "cpus": os.cpu_count(),
        "load before": os.getloadavg()[0],
        "requests": arguments.requests,
        "clients": arguments.clients,
        "answered": answered["200"],
        "statuses": answered,
        "requests a second": round(arguments.requests / seconds, 1),
        "milliseconds": {
            "together": percentiles(together),
            "alone": percentiles(alone),
            **in_this_process(arguments.model, arguments.workspace, image),
        },
    }
    print(json.dumps(found, indent=2))


def drawn() -> bytes:
    """A digit on the page, as PNG."""
    page = np.full((SIDE, SIDE), 255, np.uint8)
    ink = by_hand(3, SIDE * 0.6, SIDE * 0.06, np.random.default_rng(0))
    top, left = ((SIDE - side) // 2 for side in ink.shape)
    page[top : top + ink.shape[0], left : left + ink.shape[1]] -= (255 * ink).astype(np.uint8)
    return bytes(cv2.imencode(".png", page)[1])


@contextmanager
def server(*words: str) -> Iterator[str]:
    """The command `serve` as a process of its own; its address."""
    command = [sys.executable, "-P", "-m", "mnist_pipeline", "serve", "--port", "0", "--json", "--quiet", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            line = process.stdout.readline() if process.stdout else b""
            if not line:
                raise SystemExit("the server does not start")
            yield json.loads(line)["url"]
        finally:
            process.terminate()


def ask(url: str, image: bytes, requests: int, clients: int) -> tuple[list[float], float, Counter[str]]:
    """Seconds of each request, of all together, and how often each status, or kind of failure, was the answer."""
    statuses: Counter[str] = Counter()

    def client(share: int) -> list[float]:
        connection, found = HTTPConnection(urlsplit(url).netloc, timeout=120), []
        for _ in range(share):
            started = time.perf_counter()
            try:
                connection.request("POST", "/v1/classify", image)
                answer = connection.getresponse()
                answer.read()
                statuses[str(answer.status)] += 1
            except OSError as error:
                statuses[type(error).__name__] += 1
                connection.close()
            found.append(time.perf_counter() - started)
        connection.close()
        return found

    client(WARM)
    statuses.clear()
    shares = [requests // clients + (number < requests % clients) for number in range(clients)]
    with ThreadPoolExecutor(clients) as threads:
        started = time.perf_counter()
        found = [seconds for part in threads.map(client, shares) for seconds in part]
        taken = time.perf_counter() - started
    return found, taken, statuses


def in_this_process(name: str, workspace: Path, image: bytes) -> dict[str, dict[str, float]]:
    """What of a request is not the server."""
    chosen = find_scoring_model(name, None, workspace, None)
    model = Classifier.load(chosen.path, sha256=chosen.sha256, device="cpu", threads=1, spinning=False)
    threshold = choose_threshold(None, chosen)
    preprocessing = Preprocessing(BytesReader(image, len(image)), "auto", MAX_PIXELS)
    seen = classify_image(b"", preprocessing, model, threshold).seen
    if seen is None:
        raise SystemExit("the model cannot read the drawn digit")
    return {
        "without a server": percentiles(timed(lambda: classify_image(b"", preprocessing, model, threshold))),
        "the model alone": percentiles(timed(lambda: model.probabilities(seen[None]))),
    }


def timed(call: Callable[[], object], times: int = 200) -> list[float]:
    """Seconds of each call."""
    found = []
    for _ in range(times):
        started = time.perf_counter()
        call()
        found.append(time.perf_counter() - started)
    return found


def percentiles(seconds: list[float]) -> dict[str, float]:
    """Of milliseconds."""
    ordered = sorted(1_000 * value for value in seconds)
    return {
        "p50": round(statistics.median(ordered), 3),
        "p99": round(ordered[min(int(0.99 * len(ordered)), len(ordered) - 1)], 3),
    }


if __name__ == "__main__":
    main()
