"""Worker processes: started, fed with shards, watched, replaced when an image kills them."""

import json
import logging
import os
import queue
import signal
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from mnist_pipeline import errors
from mnist_pipeline.errors import PipelineError
from mnist_pipeline.scoring.launch import Channel, Nursery
from mnist_pipeline.scoring.records import ScoringSettings, Shard
from mnist_pipeline.scoring.worker import IDLE, MARK, PARENT_IS_GONE

logger = logging.getLogger(__name__)

STRIKES = 2
"""An image at which so many workers died is left out. One death may have come from outside."""
MAX_DEATHS = 5
"""Deaths at no image in particular, in a row, after which the job gives up."""
TICK = 0.25
"""Seconds between looks at the clock."""
START_SECONDS = 120.0
QUICK_SECONDS = 1.0
"""A worker whose shards take less is given the next one before it is done, so that it never waits."""


@dataclass(slots=True)
class _Task:
    shard: Shard
    condemned: dict[int, tuple[str, str]] = field(default_factory=dict)
    strikes: Counter[int] = field(default_factory=Counter)


class _Process:
    """One worker process, what it has to do, and the thread that listens to it."""

    def __init__(
        self, channel: Channel, hello: dict[str, Any], folder: Path, events: "queue.Queue[tuple[_Process, Any]]"
    ) -> None:
        self.tasks: deque[_Task] = deque()
        self.ready = False
        self.row, self.since = IDLE, time.monotonic()
        self.quick = False
        handle, name = tempfile.mkstemp(prefix="worker-", dir=folder)
        with os.fdopen(handle, "wb") as file:
            file.write(MARK.pack(IDLE))
        self._mark = Path(name)
        self._channel = channel
        self._events = events
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self.send({"hello": hello | {"mark": name}})

    def send(self, request: dict[str, Any]) -> None:
        """Say something; a process that is dead already is noticed by the listener."""
        with suppress(OSError):
            self._channel.requests.write(json.dumps(request).encode() + b"\n")
            self._channel.requests.flush()

    @property
    def capacity(self) -> int:
        """How many tasks it may be given: one, and another to go on with where they take no time."""
        return (2 if self.quick else 1) - len(self.tasks) if self.ready else 0

    def give(self, task: _Task) -> None:
        if not self.tasks:
            self.row, self.since = IDLE, time.monotonic()
        self.tasks.append(task)
        condemned = {str(row): list(why) for row, why in task.condemned.items()}
        self.send({"shard": task.shard.model_dump(mode="json"), "condemned": condemned})

    def finish(self) -> _Task:
        """The first of its tasks is done."""
        self.quick = time.monotonic() - self.since < QUICK_SECONDS
        self.row, self.since = IDLE, time.monotonic()
        return self.tasks.popleft()

    def look(self) -> int:
        """The row it is at, for as long as `since` says."""
        with suppress(OSError):
            (row,) = MARK.unpack(self._mark.read_bytes())
            if row != self.row:
                self.row, self.since = row, time.monotonic()
        return self.row

    def kill(self) -> None:
        """Stop it; that it is dead is noticed by the listener."""
        self._channel.kill()

    def end(self) -> int | None:
        """Stop it if it still runs, and clean up; the exit code, negative for a signal, None where nobody knows."""
        self._channel.kill()
        self._listener.join()  # before its stream is closed
        self._mark.unlink(missing_ok=True)
        return self._channel.close()

    def _listen(self) -> None:
        with suppress(OSError, ValueError):
            self._channel.pid = int(self._channel.answers.readline())
            for line in self._channel.answers:
                self._events.put((self, json.loads(line)))
        self._events.put((self, None))


class Pool:
    """Up to ``workers`` processes. Use it as a context manager: leaving it ends them.

    Args:
        settings: what all shards have in common.
        workers: how many processes at most.
        memory_megabytes: what one image may take.
        folder: for the small files that are shared with the processes.
        nursery: where they come from.
    """

    def __init__(
        self,
        settings: ScoringSettings,
        workers: int,
        memory_megabytes: int,
        folder: Path,
        nursery: Nursery,
    ) -> None:
        self._settings = settings
        self._hello = {"settings": settings.model_dump(mode="json"), "memory_megabytes": memory_megabytes}
        self._size = workers
        self._folder = folder
        self._events: queue.Queue[tuple[_Process, Any]] = queue.Queue()
        self._nursery = nursery
        self._processes: list[_Process] = []
        self._waiting: deque[_Task] = deque()
        self._deaths = 0
        self.in_progress = 0
        """Images of unfinished shards that are done."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.end()
        self._processes.clear()

    def warm_up(self) -> None:
        """Start a process before there is work, so that it loads the model meanwhile."""
        self._start(1)

    def score(self, shards: Iterable[Shard]) -> Iterator[Shard | None]:
        """Score every shard; yield each as its part is stored, not in their order, and None now and then.

        Raises:
            PipelineError: the model cannot be loaded, or workers keep dying at no image in particular.
        """
        source = iter(shards)
        exhausted = False
        while True:
            while not exhausted and len(self._waiting) < self._size:
                shard = next(source, None)
                exhausted = shard is None
                if shard is not None:
                    self._waiting.append(_Task(shard))
            self._start(len(self._waiting) + sum(bool(process.tasks) for process in self._processes))
            self._give()
            if exhausted and not self._waiting and not any(process.tasks for process in self._processes):
                return
            yield self._next_event()

    def _start(self, wanted: int) -> None:
        while len(self._processes) < min(wanted, self._size):
            self._processes.append(_Process(self._nursery.worker(), self._hello, self._folder, self._events))

    def _give(self) -> None:
        """Hand out what is waiting, to those first that have nothing to do."""
        for held in (0, 1):
            for process in self._processes:
                if self._waiting and len(process.tasks) == held and process.capacity > 0:
                    process.give(self._waiting.popleft())

    def pictures(self, names: list[str]) -> list[dict[str, Any]]:
        """What `pictures.picture` says of each name; shorter where a worker did not survive one."""
        found: list[dict[str, Any]] = []
        while not (ready := [process for process in self._processes if process.ready]):
            self._start(1)  # where nothing was left to score
            self._next_event()
        process = ready[0]
        process.send({"pictures": names})
        while True:
            try:
                sender, answer = self._events.get(timeout=self._settings.limits.seconds)
            except queue.Empty:
                return found
            if sender is process:
                return list((answer or {}).get("pictures", []))

    def _next_event(self) -> Shard | None:
        try:
            process, answer = self._events.get(timeout=TICK)
        except queue.Empty:
            self._watch()
            return None
        if process not in self._processes:
            return None
        if answer is None:
            self._bury(process)
            return None
        if "failed" in answer:
            raise _as_error(answer["failed"])
        if "ready" in answer:
            process.ready = True
            return None
        self._deaths = 0
        return process.finish().shard

    def _watch(self) -> None:
        """Note how far each worker is; kill one that hangs."""
        self.in_progress = 0
        for process in self._processes:
            row = process.look()
            waiting = time.monotonic() - process.since
            if process.tasks and row != IDLE:
                self.in_progress += row
                if waiting > self._settings.limits.seconds:
                    logger.warning("one image takes more than %g s; its worker is replaced", waiting)
                    process.tasks[0].condemned[row] = (
                        "timed out",
                        f"took more than {self._settings.limits.seconds:g} s",
                    )
                    process.end()
            elif not process.ready and waiting > START_SECONDS:
                raise PipelineError(f"a worker process did not start within {START_SECONDS:g} s; try --workers 1")

    def _bury(self, process: _Process) -> None:
        """A worker is dead: put its shard back, without the image that killed it."""
        row = process.look()
        code = process.end()
        self._processes.remove(process)
        task = process.tasks[0] if process.tasks else None
        if task is not None and row != IDLE and code not in {None, PARENT_IS_GONE}:
            if row not in task.condemned:
                task.strikes[row] += 1
                if task.strikes[row] >= STRIKES:
                    task.condemned[row] = ("crashed", f"brought {STRIKES} workers down ({_cause(code)})")
        else:
            self._deaths += 1
            if self._deaths >= MAX_DEATHS:
                raise PipelineError(
                    f"worker processes keep dying ({_cause(code)}); less memory is used with --workers 1"
                )
        self._waiting.extendleft(reversed(process.tasks))


def _cause(code: int | None) -> str:
    if code is None:
        return "cause unknown"
    if code < 0:
        try:
            return signal.Signals(-code).name
        except ValueError:
            return f"signal {-code}"
    return f"exit code {code}"


def _as_error(failed: dict[str, str]) -> PipelineError:
    """The error that a worker reports, as this process would have raised it."""
    known = getattr(errors, failed["error"], None)
    if isinstance(known, type) and issubclass(known, PipelineError) and known is not errors.MissingExtraError:
        error: PipelineError = known(failed["message"])
        return error
    if known is errors.MissingExtraError:
        return PipelineError(failed["message"])
    return PipelineError(f"a worker process failed: {failed['error']}: {failed['message']}")
