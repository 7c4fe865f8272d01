"""A process that scores shards, one at a time: what a poisonous image brings down is this process alone.

It is told what to do by one JSON object a line on its standard input, and answers by one a line:

    {"hello": settings ...}   -> {"ready": provider} | {"failed": {"error": class, "message": text}}
    {"shard": ...}            -> {"scored": images} | {"failed": ...}
    {"pictures": ...}         -> {"pictures": [...]}

Before it touches an image, it notes the row in a small shared file: whoever finds the process dead knows where.
It ends when its input ends or its parent is gone. Before all that it says its process id, on a line of its own.
"""

import gc
import json
import mmap
import os
import select
import signal
import socket
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

MARK = struct.Struct("<q")
"""The shared file: the row that is being worked on, -1 for none."""
IDLE = -1
PARENT_IS_GONE = 3
LOOK_EVERY = 16
"""Rows between two looks at whether the parent is there: each asks the kernel."""


class Mark:
    """The row that a worker is at, where its parent can see it even if the worker dies."""

    def __init__(self, path: Path) -> None:
        self._parent = os.getppid()
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), MARK.size)

    def __call__(self, row: int) -> None:
        MARK.pack_into(self._memory, 0, row)
        if row % LOOK_EVERY == 0 and os.getppid() != self._parent:
            os._exit(PARENT_IS_GONE)


def limit_memory(megabytes: int) -> None:
    """From here on, this process may take so much more address space; where the platform can say so."""
    try:
        import resource

        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except (ImportError, OSError):
        return
    wanted = used + megabytes * 1_000_000
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))


class Worker:
    """Answers requests with one loaded model."""

    def __init__(self, hello: dict[str, Any]) -> None:
        from mnist_pipeline.imaging.plain_png import Canvas
        from mnist_pipeline.inference import Classifier
        from mnist_pipeline.scoring.classify import Job, load_novelty
        from mnist_pipeline.scoring.records import ScoringSettings
        from mnist_pipeline.scoring.sources.reading import open_reader

        settings = ScoringSettings.model_validate(hello["settings"])
        self._mark = Mark(Path(hello["mark"]))
        reader = open_reader(settings.location, settings.limits.bytes)
        self._job = Job(reader, settings.preprocess, settings.limits.pixels, self._mark, load_novelty(settings))
        self._canvas = Canvas(0)
        self._model = Classifier.load(
            settings.model, sha256=settings.model_sha256, device=settings.device, threads=1, spinning=False
        )
        limit_memory(hello["memory_megabytes"])

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what is asked for."""
        if "shard" in request:
            return self._score(request)
        from mnist_pipeline.scoring.pictures import picture

        names = [os.fsencode(name) for name in request["pictures"]]
        return {"pictures": [picture(name, self._job) for name in names]}

    @property
    def provider(self) -> str:
        return self._model.provider

    def _score(self, request: dict[str, Any]) -> dict[str, Any]:
        from mnist_pipeline.imaging.plain_png import Canvas
        from mnist_pipeline.scoring.classify import score_names
        from mnist_pipeline.scoring.records import Shard
        from mnist_pipeline.scoring.results import write_part
        from mnist_pipeline.scoring.shards import shard_names

        shard = Shard.model_validate(request["shard"])
        condemned = {int(row): (kind, message) for row, (kind, message) in request["condemned"].items()}
        if len(self._canvas) < shard.images:
            self._canvas = Canvas(shard.images)
        part = score_names(shard_names(shard), self._job, self._canvas, self._model, condemned)
        self._mark(IDLE)
        write_part(shard.part, part)
        return {"scored": shard.images}


def _load() -> None:
    """Import what the work needs, while nobody is waiting for it yet."""
    with suppress(Exception):  # whatever is missing is reported when it is needed
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401

        import mnist_pipeline.inference
        import mnist_pipeline.scoring.classify
        import mnist_pipeline.scoring.shards  # noqa: F401
    # All this stays: the collector need not look at it again, nor touch its pages, which forks share.
    gc.collect()
    gc.freeze()


def _failure(error: BaseException) -> dict[str, Any]:
    return {"failed": {"error": type(error).__name__, "message": " ".join(str(error).split())}}


def _send(out: BinaryIO, value: dict[str, Any]) -> None:
    out.write(json.dumps(value).encode() + b"\n")
    out.flush()


def main() -> None:
    """Serve standard input until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    # Answers go out where nothing that a library prints can get between them.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _load()
    serve(sys.stdin.buffer, out)


def nurse(descriptor: int) -> None:
    """Fork a worker for each socket that comes along the control socket; tell how each one ended.

    Ends, and its workers with it, when the control socket does.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _load()
    control = socket.socket(fileno=descriptor)
    woken, wake = socket.socketpair()
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    children: set[int] = set()
    while True:
        ready, _, _ = select.select([control, woken], [], [])
        if woken in ready:
            woken.recv(4096)
            _tell_the_dead(control, children)
        if control in ready:
            message, descriptors, _, _ = socket.recv_fds(control, 1, 1)
            if not message:
                for child in children:
                    os.kill(child, signal.SIGKILL)
                os._exit(0)  # the command waits: no time for taking libraries down one by one
            children.add(_fork_worker(descriptors[0], control))


def _fork_worker(descriptor: int, control: socket.socket) -> int:
    child = os.fork()
    if child:
        os.close(descriptor)
        return child
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        control.close()
        with socket.socket(fileno=descriptor) as connection:
            serve(connection.makefile("rb"), connection.makefile("wb"))
    finally:
        os._exit(0)


def _tell_the_dead(control: socket.socket, children: set[int]) -> None:
    while children:
        child, status = os.waitpid(-1, os.WNOHANG)
        if not child:
            return
        children.discard(child)
        with suppress(OSError):
            control.sendall(b"%d %d\n" % (child, os.waitstatus_to_exitcode(status)))


def serve(requests: BinaryIO, out: BinaryIO) -> None:
    """Say who this is, then answer every line until there are no more, or nobody listens."""
    worker: Worker | None = None
    out.write(b"%d\n" % os.getpid())
    out.flush()
    for line in requests:
        request = json.loads(line)
        try:
            if worker is None:
                worker = Worker(request["hello"])
                _send(out, {"ready": worker.provider})
            else:
                _send(out, worker.answer(request))
        except Exception as error:
            _send(out, _failure(error))


if __name__ == "__main__":
    main()
