"""A training in a process of its own, so that it can be killed: by a time limit, or by a system without memory.

Parent and child speak JSON lines: the request on the child's stdin; progress, log records and the
result or the error on its stdout. A child whose parent is gone ends with its next line.
"""

import dataclasses
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TextIO

from mnist_pipeline import errors
from mnist_pipeline.config import TrainConfig
from mnist_pipeline.errors import PipelineError, TrainingError
from mnist_pipeline.progress import Progress, ReportProgress
from mnist_pipeline.runs.artifacts import ExtraImages, FetchedDataset, TrainedModel
from mnist_pipeline.workspace import RunDirectory

logger = logging.getLogger(__name__)


def train_isolated(
    config: TrainConfig,
    dataset: FetchedDataset,
    run: RunDirectory,
    checkpoints: Path,
    report_progress: ReportProgress,
    minutes: float,
    *,
    extra: ExtraImages | None = None,
) -> TrainedModel:
    """`fit.train_model` in a process of its own, which is killed after so many minutes.

    Raises:
        TrainingError: the process was killed; what it finished is kept in ``checkpoints``.
        PipelineError: what the training itself raised.
    """
    added = extra.model_dump_json() if extra else None
    request = [config.model_dump_json(), dataset.model_dump_json(), added, str(run.path), str(checkpoints)]
    kept = f"finished epochs are kept in {checkpoints}, and the next training goes on from there"
    with _child(minutes) as (child, expired):
        _send(child.stdin, request)
        result = _listen(child, report_progress)
        code = child.wait()
        if result is not None:
            return TrainedModel.model_validate(result)
        if expired.is_set():
            raise TrainingError(f"training was killed after {minutes:g} minutes (kill_after_minutes); {kept}")
        if code == -signal.SIGKILL:
            raise TrainingError(f"training was killed from outside, most likely for lack of memory; {kept}")
        raise TrainingError(f"the training process ended with code {code} and no result; {kept}")


@contextmanager
def _child(minutes: float) -> Iterator[tuple[subprocess.Popen[str], threading.Event]]:
    expired = threading.Event()
    # A group of its own: Ctrl-C reaches the parent alone, which then ends the child.
    child = subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        process_group=0 if os.name == "posix" else None,
    )

    def expire() -> None:
        expired.set()
        child.kill()

    timer = threading.Timer(minutes * 60, expire)
    timer.daemon = True
    timer.start()
    try:
        yield child, expired
    finally:
        timer.cancel()
        child.kill()
        child.wait()
        for stream in (child.stdin, child.stdout):
            if stream:
                stream.close()


def _listen(child: subprocess.Popen[str], report_progress: ReportProgress) -> dict[str, Any] | None:
    """Pass on what the child tells, until its result; None where it ends without one."""
    for line in child.stdout or ():
        if not line.endswith("\n"):  # the line that a killed process could not end
            break
        kind, value = json.loads(line)
        if kind == "result":
            result: dict[str, Any] = value
            return result
        if kind == "error":
            raise _error(*value)
        if kind == "progress":
            report_progress(Progress(**value))
        else:
            logging.getLogger(value["name"]).log(value["level"], "%s", value["message"])
    return None


def _error(name: str, message: str) -> PipelineError:
    """The error of that class; some classes make their message themselves, and here it is made already."""
    kind: type[PipelineError] = getattr(errors, name)
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    return error


def _send(stream: IO[str] | None, value: Any) -> None:
    if stream:
        stream.write(json.dumps(value) + "\n")
        stream.flush()


class _Parent(logging.Handler):
    """The way back to the parent; also of log records."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def tell(self, kind: str, value: Any) -> None:
        try:
            _send(self._stream, [kind, value])
        except BrokenPipeError:
            os._exit(1)  # the parent is gone: nobody waits for the rest, and nobody can be told

    def emit(self, record: logging.LogRecord) -> None:
        self.tell("log", {"name": record.name, "level": record.levelno, "message": record.getMessage()})

    def progress(self, progress: Progress) -> None:
        fields = {field.name: getattr(progress, field.name) for field in dataclasses.fields(progress)}
        self.tell("progress", fields | {"figures": dict(progress.figures)})


def main() -> None:
    """The child: read the request, train, tell."""
    from mnist_pipeline.training.fit import train_here

    # Whatever else writes to stdout must not disturb the lines.
    parent = _Parent(os.fdopen(os.dup(1), "w"))
    os.dup2(2, 1)
    package = logging.getLogger("mnist_pipeline")
    package.setLevel(logging.INFO)
    package.addHandler(parent)
    package.propagate = False
    config, dataset, extra, run, checkpoints = json.loads(sys.stdin.readline())
    try:
        trained = train_here(
            TrainConfig.model_validate_json(config),
            FetchedDataset.model_validate_json(dataset),
            RunDirectory(Path(run)),
            Path(checkpoints),
            parent.progress,
            extra=None if extra is None else ExtraImages.model_validate_json(extra),
        )
        parent.tell("result", trained.model_dump(mode="json"))
    except PipelineError as error:
        parent.tell("error", [type(error).__name__, str(error)])


if __name__ == "__main__":
    main()
