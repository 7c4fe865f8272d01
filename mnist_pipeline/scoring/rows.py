"""The rows of an output, read back from CSV, JSON lines or Parquet."""

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from mnist_pipeline.errors import PipelineError, UsageError
from mnist_pipeline.files import read_json
from mnist_pipeline.rejection.answers import STATUS_NAMES
from mnist_pipeline.scoring.outputs import Outputs
from mnist_pipeline.scoring.sources.reading import Location
from mnist_pipeline.scoring.summary import ScoreSummary
from mnist_pipeline.scoring.writers import check_format, parse_cell, parse_path


class ScoredRow(NamedTuple):
    """One row.

    Attributes:
        name: of the image, as the file system or the store has it.
        status: ``ok``, ``no_digit`` or ``error``.
        digit: the most probable one; None where the model was not asked.
        confidence: of that, 0 to 1; None where the model was not asked.
        reason: why it is ``no_digit``, or the kind of the error; else "".
    """

    name: bytes
    status: str
    digit: int | None
    confidence: float | None
    reason: str


def read_rows(output: Path) -> Iterator[ScoredRow]:
    """The rows of a scored output, in its order, as they are asked for.

    Raises:
        UsageError: there is no such file, or it is no output of `score`.
        MissingExtraError: it is Parquet and pyarrow is not installed.
    """
    check_format(output)
    read = {".csv": _csv, ".jsonl": _json_lines, ".parquet": _parquet}[output.suffix.lower()]
    try:
        for values in read(output):
            yield _row(values)
    except OSError as error:
        raise UsageError(f"{output}: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise UsageError(f"{output} is no output of mnist-pipeline score ({type(error).__name__}: {error})") from None


def location_of(output: Path) -> Location:
    """Where the images of an output are, as its manifest says.

    Raises:
        UsageError: it has no manifest that can be read.
    """
    try:
        summary = ScoreSummary.model_validate(read_json(Outputs.of(output).manifest))
        kind, _, root = summary.location.partition(":")
        return Location.model_validate({"kind": kind, "root": root})
    except (OSError, PipelineError, ValidationError):
        raise UsageError(f"{output} has no manifest that says where its images are; name them with --images") from None


def _row(values: Mapping[str, Any]) -> ScoredRow:
    if values["status"] not in STATUS_NAMES:
        raise ValueError(f"status {values['status']!r}")
    digit, confidence = values["digit"], values["confidence"]
    return ScoredRow(
        parse_path(values["path"]),
        values["status"],
        None if digit in {None, ""} else int(digit),
        None if confidence in {None, ""} else float(confidence),
        values["reason"] or "",
    )


def _csv(output: Path) -> Iterator[Mapping[str, Any]]:
    with output.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield row | {"path": parse_cell(row["path"])}


def _json_lines(output: Path) -> Iterator[Mapping[str, Any]]:
    with output.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def _parquet(output: Path) -> Iterator[Mapping[str, Any]]:
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(output).iter_batches(columns=["path", "status", "digit", "confidence", "reason"]):
        yield from batch.to_pylist()
