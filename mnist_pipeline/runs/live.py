"""``live.jsonl``: the curve of a training while it runs, a line at a time, for whoever wants to watch.

    {"begin": {...}}                                      `Begin`, first
    {"batch": 48, "loss": 0.61, "accuracy": 0.82}         means over the batches since the line before
    {"epoch": {...}}                                      `training_history.Epoch`, after each epoch

It is for watching alone: what counts is in ``history.json``. So it is not flushed to the disk, and a training
does not end because it cannot be written.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from mnist_pipeline.runs.training_history import Epoch, Layer
from mnist_pipeline.schema import Record

logger = logging.getLogger(__name__)


class Begin(Record):
    """What is known of a training before its first batch."""

    layers: list[Layer]
    batches: int
    """Of the whole training."""
    epochs: int
    """Likewise."""
    train_rows: int
    validation_rows: int


class LiveCurve:
    """Writes the file of one training.

    Args:
        path: the file; None means nowhere.
    """

    def __init__(self, path: Path | None) -> None:
        self._file: BinaryIO | None = None
        self._told = ((0, 0), (0.0, 0.0))
        try:
            self._file = path.open("wb", buffering=0) if path else None
        except OSError as error:
            self._give_up(error)

    def begin(self, begin: Begin, finished: list[Epoch]) -> None:
        """A training begins, or goes on after the epochs that are finished."""
        self._write({"begin": begin.model_dump(mode="json")})
        for epoch in finished:
            self.epoch(epoch)

    def batches(self, start: int, done: int, running: Mapping[str, float]) -> None:
        """``done`` batches after the first ``start`` are done; ``running`` are the means over them.

        What is written are the means over those since the last call: so no backend is asked for more than it tells.
        """
        earlier, told = self._told if self._told[0][0] == start else ((start, 0), (0.0, 0.0))
        sums = (running["loss"] * done, running["accuracy"] * done)
        self._told = ((start, done), sums)
        if (new := done - earlier[1]) > 0:
            loss, accuracy = (round(max((now - then) / new, 0), 6) for now, then in zip(sums, told, strict=True))
            self._write({"batch": start + done, "loss": loss, "accuracy": accuracy})

    def epoch(self, epoch: Epoch) -> None:
        """An epoch is done, and validated."""
        self._write({"epoch": epoch.model_dump(mode="json")})

    def close(self) -> None:
        """The training has ended."""
        if self._file:
            self._file.close()
        self._file = None

    def _write(self, line: dict[str, Any]) -> None:
        try:
            if self._file:
                self._file.write(json.dumps(line).encode() + b"\n")
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        logger.warning("the training cannot be watched: %s", error)
        self.close()


def read_live(path: Path, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """The whole lines of the file from a byte on, and where the next ones begin.

    Where the file is shorter than that, another training has begun to write it: it is read from its beginning.
    """
    try:
        with path.open("rb") as file:
            if file.seek(0, 2) < offset:
                offset = 0
            file.seek(offset)
            data = file.read()
    except OSError:
        return [], 0
    whole = data[: data.rfind(b"\n") + 1]
    return [json.loads(line) for line in whole.splitlines()], offset + len(whole)
