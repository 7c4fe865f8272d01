r"""Rows to files: CSV, JSON lines, Parquet. Equal rows give equal bytes.

How a path is written, in all formats: bytes that are not UTF-8 become ``\xNN`` (two hexadecimal digits), and a
backslash becomes two, so that `parse_path` finds the very bytes again; everything else, line breaks included, stays.
In CSV a cell that a spreadsheet could take for a formula, or that begins with an apostrophe, gets an apostrophe in
front: removing one leading apostrophe gives the text back.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.errors import MissingExtraError, UsageError
from mnist_pipeline.rejection.answers import ERROR, REASON_NAMES, STATUS_NAMES
from mnist_pipeline.rejection.rule import confidences

FORMATS = (".csv", ".jsonl", ".parquet")
COLUMNS = ("path", "status", "digit", "confidence", "reason", "error")
CLASS_COLUMNS = tuple(f"p{digit}" for digit in range(10))
ROW_GROUP = 65_536
"""Rows of a Parquet row group."""
# What spreadsheets take for the start of a formula (OWASP, CSV injection); full-width forms as well.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "'", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_SPECIAL = re.compile(r"""[^\w./ ]""")
"""Whatever might need more than to be written; most names have none of it."""
_QUOTED = re.compile(r'[",\r\n]')


@dataclass(frozen=True)
class Batch:
    """Rows as they are written, in order.

    Attributes:
        paths: escaped by `escape_path`.
        rows: `ROW` [n], the confidence threshold applied.
        errors: row -> (kind, message).
    """

    paths: Sequence[str]
    rows: NDArray[np.void]
    errors: dict[int, tuple[str, str]]

    @cached_property
    def probabilities(self) -> NDArray[np.float32]:
        """float32 [n, 10]."""
        return np.ascontiguousarray(self.rows["probabilities"])

    @cached_property
    def digits(self) -> NDArray[np.int64]:
        """int64 [n]: the most probable class of each row, whatever became of it."""
        found: NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return found

    @cached_property
    def confidences(self) -> NDArray[np.float32]:
        """float32 [n]: `rule.confidences`."""
        return confidences(self.rows)

    @cached_property
    def answered(self) -> NDArray[np.bool_]:
        """Which rows, bool [n]: the model was asked, so that there is a most probable digit."""
        found: NDArray[np.bool_] = (self.rows["status"] != ERROR) & self.probabilities.any(axis=1)
        return found

    def reasons(self) -> list[str]:
        """Of each row: why it is ``no_digit``, or the kind of its error, or ""."""
        found = [REASON_NAMES[reason] for reason in self.rows["reason"].tolist()]
        for row, (kind, _) in self.errors.items():
            found[row] = kind
        return found

    def sentence(self, row: int) -> str:
        """What is wrong with a row, or ""."""
        return ": ".join(self.errors[row]) if row in self.errors else ""


def escape_path(name: bytes) -> str:
    """A path as text, lossless: see the module."""
    return name.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def escape_paths(names: Sequence[bytes]) -> list[str]:
    """`escape_path` of each."""
    block = b"\0".join(names)  # the one byte that no path holds
    return escape_path(block).split("\0") if names else []


def parse_path(text: str) -> bytes:
    """The bytes that `escape_path` made ``text`` of."""
    return re.sub(
        rb"\\(\\|x[0-9a-f]{2})",
        lambda found: b"\\" if found[1] == b"\\" else bytes([int(found[1][1:], 16)]),
        text.encode(),
    )


def check_format(output: Path) -> None:
    """Refuse an extension that is not known, or whose library is not installed.

    Raises:
        UsageError: the extension is none of `FORMATS`.
        MissingExtraError: Parquet without pyarrow.
    """
    if output.suffix.lower() not in FORMATS:
        raise UsageError(f"--output {output}: the extension must be one of {', '.join(FORMATS)}")
    if output.suffix.lower() == ".parquet":
        import importlib.util

        if importlib.util.find_spec("pyarrow") is None:
            raise MissingExtraError("Parquet output", "parquet")


@contextmanager
def open_rows(suffix: str, file: BinaryIO, *, probabilities: bool) -> Iterator[Callable[[Batch], None]]:
    """A function that appends rows to an open file, whose contents are complete when the block ends without an error.

    Args:
        suffix: one that `check_format` accepts.
        file: stays open.
        probabilities: write those of all classes, too.
    """
    if suffix.lower() == ".csv":
        file.write((",".join(COLUMNS + (CLASS_COLUMNS if probabilities else ())) + "\n").encode())
        yield lambda batch: _write_lines(file, _csv(batch, probabilities=probabilities))
    elif suffix.lower() == ".jsonl":
        found = partial(json.dumps, ensure_ascii=False)
        yield lambda batch: _write_lines(file, map(found, json_rows(batch, probabilities=probabilities)))
    else:
        parquet = _Parquet(file, probabilities=probabilities)
        yield parquet.write
        parquet.close()


def _write_lines(file: BinaryIO, lines: Iterable[str]) -> None:
    file.write("".join([f"{line}\n" for line in lines]).encode())


def _csv(batch: Batch, *, probabilities: bool) -> Iterator[str]:
    """RFC 4180 with LF line ends, UTF-8. Probabilities have six decimals; what is not known is empty."""
    reasons, plain = batch.reasons(), not _SPECIAL.search("".join(batch.paths))
    for row, (path, status, digit, confidence, each) in enumerate(_values(batch, probabilities=probabilities)):
        answer = f"{digit},{confidence:.6f}" if digit is not None else ","
        said = cell(batch.sentence(row)) if row in batch.errors else ""
        line = f"{path if plain else cell(path)},{status},{answer},{reasons[row]},{said}"
        if each is not None:
            line += "".join([f",{value:.6f}" for value in each] if digit is not None else "," * len(CLASS_COLUMNS))
        yield line


def json_rows(batch: Batch, *, probabilities: bool) -> Iterator[dict[str, Any]]:
    """One object a row, probabilities with six decimals; what is not known is None."""
    reasons = batch.reasons()
    for row, (path, status, digit, confidence, each) in enumerate(_values(batch, probabilities=probabilities)):
        known = digit is not None
        value: dict[str, Any] = {
            "path": path,
            "status": status,
            "digit": digit,
            "confidence": round(confidence, 6) if known else None,
            "reason": reasons[row] or None,
            "error": batch.sentence(row) or None,
        }
        if each is not None:
            value |= {name: round(p, 6) if known else None for name, p in zip(CLASS_COLUMNS, each, strict=True)}
        yield value


def cell(text: str) -> str:
    """A CSV cell that no spreadsheet takes for a formula, quoted where it must be."""
    if not _SPECIAL.search(text):
        return text
    if text.startswith(_FORMULA):
        text = f"'{text}"
    return '"' + text.replace('"', '""') + '"' if _QUOTED.search(text) else text


def parse_cell(text: str) -> str:
    """The text that `cell` made a cell of, once a CSV reader has taken its quotes away."""
    return text.removeprefix("'")


class _Parquet:
    """Row groups of `ROW_GROUP` rows, compressed with Zstandard; what is not known is null."""

    def __init__(self, file: BinaryIO, *, probabilities: bool) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._probabilities = probabilities
        fields = [
            ("path", pa.string()),
            ("status", pa.string()),
            ("digit", pa.int8()),
            ("confidence", pa.float32()),
            ("reason", pa.string()),
            ("error", pa.string()),
        ]
        fields += [(name, pa.float32()) for name in CLASS_COLUMNS] if probabilities else []
        self._schema = pa.schema(fields)
        self._writer = pq.ParquetWriter(file, self._schema, compression="zstd")
        self._tables: list[Any] = []
        self._rows = 0

    def write(self, batch: Batch) -> None:
        import pyarrow as pa

        status, each, unknown = batch.rows["status"], batch.probabilities, ~batch.answered
        columns = [
            pa.array(batch.paths, pa.string()),
            pa.array(np.array(STATUS_NAMES, object)[status], pa.string()),
            pa.array(batch.digits.astype(np.int8), mask=unknown),
            pa.array(batch.confidences, mask=unknown),
            pa.array([reason or None for reason in batch.reasons()], pa.string()),
            pa.array([batch.sentence(row) or None for row in range(len(batch.paths))], pa.string()),
        ]
        if self._probabilities:
            columns += [pa.array(np.ascontiguousarray(each[:, digit]), mask=unknown) for digit in range(10)]
        self._tables.append(pa.table(columns, schema=self._schema))
        self._rows += len(batch.paths)
        if self._rows >= ROW_GROUP:
            self._flush(whole=True)

    def close(self) -> None:
        self._flush(whole=False)
        self._writer.close()

    def _flush(self, *, whole: bool) -> None:
        """Write what is there as row groups; ``whole``: only those that are full."""
        if not self._tables:
            return
        import pyarrow as pa

        table = pa.concat_tables(self._tables).combine_chunks()
        ready = table.num_rows - table.num_rows % ROW_GROUP if whole else table.num_rows
        self._writer.write_table(table.slice(0, ready), row_group_size=ROW_GROUP)
        self._tables = [table.slice(ready)] if ready < table.num_rows else []
        self._rows = table.num_rows - ready


def _values(batch: Batch, *, probabilities: bool) -> "zip[tuple[str, str, int | None, float, list[float] | None]]":
    """Path, status, digit (None where nothing was answered), confidence and, where wanted, all probabilities."""
    digits: list[int | None] = batch.digits.tolist()
    for row in np.flatnonzero(~batch.answered).tolist():
        digits[row] = None
    statuses = [STATUS_NAMES[status] for status in batch.rows["status"].tolist()]
    all_of_them: list[list[float] | None] = batch.probabilities.tolist() if probabilities else [None] * len(digits)
    return zip(batch.paths, statuses, digits, batch.confidences.tolist(), all_of_them, strict=True)
