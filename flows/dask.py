"""A Dask cluster that somebody else started, as Prefect's task runner."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect.task_runners import TaskRunner

from mnist_pipeline.errors import MissingExtraError, PipelineError

logger = logging.getLogger("mnist_pipeline.dask")

Runner = TaskRunner[Any]


@contextmanager
def on_dask(address: str) -> Iterator[Runner]:
    """The task runner of a cluster.

    Args:
        address: of its scheduler.

    Raises:
        MissingExtraError: the ``dask`` extra is not installed.
        PipelineError: no scheduler answers, or it or several workers are lost.
    """
    try:
        from distributed import CancelledError, KilledWorker
        from prefect_dask.task_runners import DaskTaskRunner
    except ModuleNotFoundError:
        raise MissingExtraError("a Dask scheduler", "dask") from None
    with DaskTaskRunner(address=address) as runner:
        try:
            waiting = not runner.client.nthreads()
        except (OSError, ValueError) as error:
            raise PipelineError(f"no Dask scheduler answers at {address}: {error}; is it running?") from None
        if waiting:
            logger.warning("the Dask scheduler at %s has no workers yet; waiting for one", address)
        try:
            yield runner
        except KilledWorker as error:
            raise PipelineError(
                f"Dask gave one task up after several workers died at it, the last one at {error.last_worker.address}; "
                "what is scored is kept: run it again with resume, with more memory per worker or a smaller task_images"
            ) from None
        except RuntimeError as error:
            if "reach API" not in str(error):
                raise
            raise PipelineError(
                f"a Dask worker cannot reach the Prefect server: {error}; name it by an address that the workers "
                "can reach: PREFECT_API_URL=http://HOST:4200/api"
            ) from None
        except CancelledError:
            raise PipelineError(
                f"the Dask scheduler at {address} was lost; what is scored is kept: run it again with resume"
            ) from None
