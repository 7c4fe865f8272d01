"""What a worker process does: score shards, one at a time.

    ScoreShard    -> Scored       its rows are stored
    TakePictures  -> Pictures

It says `Ready` when it has loaded the model, and answers any request that fails with the exception. Before it
touches an image, it notes the row in a value that its pool shares: if the process dies, the pool knows where.
It ends as soon as its parent is gone.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from mnist_pipeline.errors import PipelineError
from mnist_pipeline.scoring.outputs import Outputs
from mnist_pipeline.scoring.records import ScoringSettings, Shard
from mnist_pipeline.scoring.results import NO_ROOM
from mnist_pipeline.scoring.workers.silence import silenced
from mnist_pipeline.scoring.workers.start import ENVIRONMENT

IDLE = -1
"""The row of a worker that is at no image."""
PARENT_IS_GONE = 3


@dataclass(frozen=True, slots=True)
class Setup:
    """What a worker is started with: of its job no more than it needs, so that it loads no more.

    Attributes:
        settings: what all its shards have in common.
        outputs: where their names are, and their rows go.
        memory_megabytes: what one image may take.
        environment: variables, as they are now; those of the forkserver are as old as itself.
    """

    settings: ScoringSettings
    outputs: Outputs
    memory_megabytes: int
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


@dataclass(frozen=True, slots=True)
class ScoreShard:
    """Store the rows of a shard. ``quarantined`` ones are not touched: row -> (kind, message) of their error."""

    shard: Shard
    quarantined: Mapping[int, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class TakePictures:
    """Of the images of these names."""

    names: list[bytes]


@dataclass(frozen=True, slots=True)
class Ready:
    """The model is loaded."""


@dataclass(frozen=True, slots=True)
class Scored:
    """The rows are stored."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """`pictures.picture` of each name."""

    pictures: list[dict[str, str]]


class SharedRow(Protocol):
    """A number in memory that two processes share."""

    value: int


def work(connection: "Connection[Any, Any]", row: SharedRow, setup: Setup) -> None:
    """Answer requests until there is nobody to ask for more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its workers itself
    if sys.platform != "win32" and multiprocessing.get_start_method() == "spawn":
        os.setsid()  # as the forkserver has done
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.clear()
    os.environ.update(ENVIRONMENT | dict(setup.environment))
    with silenced():
        try:
            _serve(connection, row, setup)
        except (EOFError, OSError):
            return  # the connection is closed


def _end_with_parent() -> None:
    """Whatever the other threads are at: an image may take for ever, and nobody is left to look at the clock."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(PARENT_IS_GONE)


def _serve(connection: "Connection[Any, Any]", row: SharedRow, setup: Setup) -> None:
    try:
        scorer = _Scorer(setup, row)
    except Exception as error:
        connection.send(_for_the_user(error))
        return
    connection.send(Ready())
    while True:
        request = connection.recv()
        try:
            answer: object = scorer.answer(request)
        except Exception as error:
            answer = _for_the_user(error)
        connection.send(answer)


def _for_the_user(error: Exception) -> Exception:
    """The error, if it is one that the parent knows how to tell; else one that says what it was."""
    if isinstance(error, PipelineError) or (isinstance(error, OSError) and error.errno in NO_ROOM):
        return error
    return PipelineError(f"a worker process failed: {type(error).__name__}: {' '.join(str(error).split())}")


class _Scorer:
    """Answers requests with one loaded model."""

    def __init__(self, setup: Setup, row: SharedRow) -> None:
        from mnist_pipeline.inference import Classifier
        from mnist_pipeline.scoring.items import Preprocessing
        from mnist_pipeline.scoring.shards import key_base
        from mnist_pipeline.scoring.sources.reading import open_reader

        def at_row(number: int) -> None:
            row.value = number

        settings = setup.settings
        reader = open_reader(settings.location, settings.limits.bytes)
        self._at_row = at_row
        self._outputs, self._key_base = setup.outputs, key_base(settings)
        self._preprocessing = Preprocessing(reader, settings.preprocess, settings.limits.pixels, at_row)
        self._model = Classifier.load(
            settings.model, sha256=settings.model_sha256, device=settings.device, threads=1, spinning=False
        )
        # On a GPU too, each worker has a session of its own, which it asks about a shard at a time: while some read and
        # decode, which takes most of the time, others copy and compute. One process that owned the GPU would save
        # their contexts, and would need a way of its own for images, answers and deaths; as it is, a worker that dies
        # takes nothing along. There are as many workers as fit into the GPU's memory (`Pool`). CUDA maps far more
        # addresses than it uses, and must have done so before they are limited.
        self._model.reserve()
        limit_memory(setup.memory_megabytes)

    def answer(self, request: ScoreShard | TakePictures) -> Scored | Pictures:
        """Do what is asked for."""
        if isinstance(request, ScoreShard):
            self._score(request)
            return Scored()
        from mnist_pipeline.scoring.pictures import picture

        return Pictures([picture(name, self._preprocessing, self._model) for name in request.names])

    def _score(self, request: ScoreShard) -> None:
        from mnist_pipeline.scoring.classify import score_names
        from mnist_pipeline.scoring.results import write_results
        from mnist_pipeline.scoring.shards import shard_names

        names = shard_names(request.shard, self._outputs, self._key_base)
        results = score_names(names, self._preprocessing, self._model, request.quarantined)
        self._at_row(IDLE)
        write_results(self._outputs.results_of(request.shard), results)


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
