"""The CPU in place of a GPU: sessions say that they are on CUDA, and the device has room for so many processes.

What a worker process needs of it lies in a folder that `FOLDER` names: what it was asked for, and the places taken.
"""

import json
import os
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from mnist_pipeline.inference import sessions
from mnist_pipeline.inference.contract import INPUT
from mnist_pipeline.inference.sessions import CPU, CUDA
from mnist_pipeline.scoring.job import ScoringJob
from mnist_pipeline.scoring.workers import worker

FOLDER, PLACES = "GPU_STAND_IN_FOLDER", "GPU_STAND_IN_PLACES"


class Session:
    """An onnxruntime session on the CPU that says otherwise."""

    def __init__(self, session: Any, note: Any = lambda _: None) -> None:
        self._session, self._note = session, note

    def get_providers(self) -> list[str]:
        return [CUDA, CPU]

    def run(self, outputs: list[str], inputs: dict[str, Any]) -> Any:
        self._note(len(inputs[INPUT]))
        return self._session.run(outputs, inputs)


def work(
    connection: "Connection[Any, Any]", row: worker.SharedRow, job: ScoringJob, environment: dict[str, str]
) -> None:
    """`worker.work` on such a GPU, in a process of its own."""
    folder, places = Path(environment[FOLDER]), int(environment[PLACES])
    place = _take_place(folder, places)

    def note(what: object) -> None:
        with (folder / f"{place}.jsonl").open("a") as file:
            file.write(json.dumps(what) + "\n")

    def open_on_cuda(data: bytes, threads: int | None, spinning: bool) -> tuple[Any, str | None]:
        if place is None:
            return None, "CUDA failure 2: out of memory"
        return Session(sessions._create_session(data, [CPU], threads, spinning), note), None

    def limit_memory(megabytes: int) -> None:
        note("memory is limited")

    sessions.gpu_problem = lambda: None
    sessions._open_on_cuda = open_on_cuda
    worker.limit_memory = limit_memory
    worker.work(connection, row, job, environment)


def asked(folder: Path) -> list[list[object]]:
    """Of each process: images of each call, and when its memory was limited."""
    return [[json.loads(line) for line in file.read_text().splitlines()] for file in sorted(folder.glob("*.jsonl"))]


def _take_place(folder: Path, places: int) -> int | None:
    for place in range(places):
        try:
            os.close(os.open(folder / f"{place}.jsonl", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            continue
        return place
    return None
