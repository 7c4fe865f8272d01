"""What a worker process does: score shards, one at a time.

                          -> None, once it has loaded the model
    (shard, quarantined)  -> None, once its rows are stored; quarantined rows are not touched: row -> error
    [name, ...]           -> [pictures, ...]: `pictures.picture` of each

It answers any request that fails with the exception. Before it touches an image, it notes the row in a value that its
pool shares: if the process dies, the pool knows where.
"""

from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any, Protocol

from mnist_pipeline.errors import PipelineError
from mnist_pipeline.scoring.job import ScoringJob
from mnist_pipeline.scoring.results import NO_ROOM, write_results
from mnist_pipeline.scoring.shards import Shard, shard_names
from mnist_pipeline.scoring.sources.reading import open_reader
from mnist_pipeline.scoring.workers.start import limit_memory, working

IDLE = -1
"""The row of a worker that is at no image."""

Request = tuple[Shard, Mapping[int, tuple[str, str]]] | list[bytes]


class SharedRow(Protocol):
    """A number in memory that two processes share."""

    value: int


def work(connection: "Connection[Any, Any]", row: SharedRow, job: ScoringJob, environment: Mapping[str, str]) -> None:
    """Answer requests until there is nobody to ask for more.

    Args:
        connection: to the pool.
        row: where the pool looks how far it is.
        job: whose shards they are.
        environment: variables.
    """
    with working(environment):
        try:
            scorer = _Scorer(job, row)
        except Exception as error:
            connection.send(_for_the_user(error))
            return
        connection.send(None)
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

    def __init__(self, job: ScoringJob, row: SharedRow) -> None:
        from mnist_pipeline.inference import Classifier
        from mnist_pipeline.scoring.items import Preprocessing

        def at_row(number: int) -> None:
            row.value = number

        reader = open_reader(job.source, job.max_bytes)
        self._at_row, self._job = at_row, job
        self._preprocessing = Preprocessing(reader, job.config.preprocess, job.max_pixels, at_row)
        self._model = Classifier.load(
            job.model.path, sha256=job.model.sha256, device=job.config.device, threads=1, spinning=False
        )
        # On a GPU too, each worker has a session of its own, which it asks about a shard at a time: while some read and
        # decode, which takes most of the time, others copy and compute. One process that owned the GPU would save
        # their contexts, and would need a way of its own for images, answers and deaths; as it is, a worker that dies
        # takes nothing along. There are as many workers as fit into the GPU's memory (`Pool`). CUDA maps far more
        # addresses than it uses, and must have done so before they are limited.
        self._model.reserve()
        limit_memory(job.config.max_memory_megabytes)

    def answer(self, request: Request) -> list[dict[str, str]] | None:
        """Do what is asked for."""
        if isinstance(request, list):
            from mnist_pipeline.scoring.pictures import picture

            return [picture(name, self._preprocessing, self._model) for name in request]
        from mnist_pipeline.scoring.classify import score_names

        shard, quarantined = request
        results = score_names(shard_names(shard, self._job), self._preprocessing, self._model, quarantined)
        self._at_row(IDLE)
        write_results(self._job.outputs.results_of(shard), results)
        return None
