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
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from mnist_pipeline.errors import MissingExtraError, UsageError
from mnist_pipeline.rejection.answers import STATUS_NAMES
from mnist_pipeline.scoring.results import ShardResults

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
def open_rows(suffix: str, file: BinaryIO, *, probabilities: bool) -> Iterator[Callable[[ShardResults], None]]:
    """A function that appends rows to an open file, whose contents are complete when the block ends without an error.

    Args:
        suffix: one that `check_format` accepts.
        file: stays open.
        probabilities: write those of all classes, too.
    """
    if suffix.lower() == ".csv":
        file.write((",".join(COLUMNS + (CLASS_COLUMNS if probabilities else ())) + "\n").encode())
        yield lambda results: _write_lines(file, _csv(results, probabilities=probabilities))
    elif suffix.lower() == ".jsonl":
        found = partial(json.dumps, ensure_ascii=False)
        yield lambda results: _write_lines(file, map(found, json_rows(results, probabilities=probabilities)))
    else:
        parquet = _Parquet(file, probabilities=probabilities)
        yield parquet.write
        parquet.close()


def _write_lines(file: BinaryIO, lines: Iterable[str]) -> None:
    file.write("".join([f"{line}\n" for line in lines]).encode())


def _csv(results: ShardResults, *, probabilities: bool) -> Iterator[str]:
    """RFC 4180 with LF line ends, UTF-8. Probabilities have six decimals; what is not known is empty."""
    reasons = results.reasons()
    for row, (path, status, digit, confidence, each) in enumerate(_values(results, probabilities=probabilities)):
        answer = f"{digit},{confidence:.6f}" if digit is not None else ","
        said = cell(results.sentence(row)) if row in results.errors else ""
        line = f"{cell(path)},{status},{answer},{reasons[row]},{said}"
        if each is not None:
            line += "".join([f",{value:.6f}" for value in each] if digit is not None else "," * len(CLASS_COLUMNS))
        yield line


def json_rows(results: ShardResults, *, probabilities: bool) -> Iterator[dict[str, Any]]:
    """One object a row, probabilities with six decimals; what is not known is None."""
    reasons = results.reasons()
    for row, (path, status, digit, confidence, each) in enumerate(_values(results, probabilities=probabilities)):
        known = digit is not None
        value: dict[str, Any] = {
            "path": path,
            "status": status,
            "digit": digit,
            "confidence": round(confidence, 6) if known else None,
            "reason": reasons[row] or None,
            "error": results.sentence(row) or None,
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

    def write(self, results: ShardResults) -> None:
        import pyarrow as pa

        status, each, unknown = results.rows["status"], results.probabilities, ~results.answered
        columns = [
            pa.array(escape_paths(results.names), pa.string()),
            pa.array(np.array(STATUS_NAMES, object)[status], pa.string()),
            pa.array(results.digits.astype(np.int8), mask=unknown),
            pa.array(results.confidences, mask=unknown),
            pa.array([reason or None for reason in results.reasons()], pa.string()),
            pa.array([results.sentence(row) or None for row in range(len(results.names))], pa.string()),
        ]
        if self._probabilities:
            columns += [pa.array(np.ascontiguousarray(each[:, digit]), mask=unknown) for digit in range(10)]
        self._tables.append(pa.table(columns, schema=self._schema))
        self._rows += len(results.names)
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


_Values = tuple[str, str, int | None, float, list[float] | None]


def _values(results: ShardResults, *, probabilities: bool) -> Iterator[_Values]:
    """Path, status, digit (None where nothing was answered), confidence and, where wanted, all probabilities."""
    digits: list[int | None] = results.digits.tolist()
    for row in np.flatnonzero(~results.answered).tolist():
        digits[row] = None
    statuses = [STATUS_NAMES[status] for status in results.rows["status"].tolist()]
    all_of_them: list[list[float] | None] = results.probabilities.tolist() if probabilities else [None] * len(digits)
    return zip(escape_paths(results.names), statuses, digits, results.confidences.tolist(), all_of_them, strict=True)
