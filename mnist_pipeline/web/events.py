"""The curve of a run: as it grows by server-sent events, or as it was."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from mnist_pipeline.runs.live import read_live
from mnist_pipeline.runs.run import Run
from mnist_pipeline.web.interface import as_json
from mnist_pipeline.web.state import State
from mnist_pipeline.web.watch import find_run

INTERVAL = 0.25
"""Seconds between looks at the files of a run."""


def requested_run(request: Request) -> Run:
    """The run that the path names.

    Raises:
        HTTPException: 404, there is no such run.
    """
    state: State = request.app.state.server
    run = find_run(state.workspace, request.path_params["run"])
    if run is None:
        raise HTTPException(404, f"there is no run {request.path_params['run']!r} in {state.workspace}")
    return run


async def live(request: Request) -> Response:
    """``curve``: new lines of live.jsonl; ``record``: the run's record has changed; ``end``: it has ended."""
    run = await asyncio.to_thread(requested_run, request)
    return StreamingResponse(_stream(run), media_type="text/event-stream")


async def _stream(run: Run) -> AsyncIterator[str]:
    offset, told = 0, b""
    while True:
        record, (lines, offset) = await asyncio.to_thread(_look, run, offset)
        if lines:
            yield _event("curve", lines)
        if record != told:
            told = record
            yield _event("record", None)
        if json.loads(record)["finished"] is not None:
            yield _event("end", None)
            return
        await asyncio.sleep(INTERVAL)


def _look(run: Run, offset: int) -> tuple[bytes, tuple[list[dict[str, Any]], int]]:
    """The record first: what is written before a run ends is read after that is known."""
    return run.directory.record.read_bytes(), read_live(run.directory.live, offset)


def _event(name: str, data: Any) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


async def curve(request: Request) -> Response:
    """The whole curve of a training that has ended, in the lines of live.jsonl: a line for each batch."""
    run = await asyncio.to_thread(requested_run, request)
    return as_json(await asyncio.to_thread(_lines, run))


def _lines(run: Run) -> list[dict[str, Any]]:
    try:
        history = json.loads(run.directory.history.read_bytes())
    except OSError:
        return read_live(run.directory.live)[0]
    batches = zip(history["batches"]["loss"], history["batches"]["accuracy"], strict=True)
    points = [{"batch": n, "loss": loss, "accuracy": accuracy} for n, (loss, accuracy) in enumerate(batches, 1)]
    begin = {"batches": len(points), "epochs": len(history["epochs"])}
    return [{"begin": begin}, *points, *({"epoch": epoch} for epoch in history["epochs"])]
