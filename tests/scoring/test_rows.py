"""Rows of an output, read back."""

import io

import numpy as np
import pytest

from mnist_pipeline.errors import UsageError
from mnist_pipeline.rejection.answers import ERROR, NO_DIGIT, OK
from mnist_pipeline.scoring.results import ROW, ShardResults
from mnist_pipeline.scoring.rows import ScoredRow, read_rows
from mnist_pipeline.scoring.writers import FORMATS, open_rows

pytestmark = pytest.mark.quick
NAMES = (b"a/1.png", b"=1+1.png", b'\'quoted, "so".png', b"caf\xe9 \\x41\n.png", b"plain/3.png")


def results():
    rows = np.zeros(5, ROW)
    rows["status"] = [OK, OK, NO_DIGIT, OK, ERROR]
    rows["reason"] = [0, 0, 1, 0, 0]
    rows["probabilities"][[0, 1, 3], [7, 2, 4]] = [0.75, 1, 0.5]
    rows["novelty"] = -np.inf
    return ShardResults(NAMES, rows, {4: ("empty", "holds no bytes")})


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_names_and_answers_back(kind, tmp_path):
    file, written = io.BytesIO(), results()
    with open_rows(kind, file, probabilities=False) as write:
        write(written)
    (tmp_path / f"out{kind}").write_bytes(file.getvalue())
    assert list(read_rows(tmp_path / f"out{kind}")) == [
        ScoredRow(NAMES[0], "ok", 7, 0.75, ""),
        ScoredRow(NAMES[1], "ok", 2, 1.0, ""),
        ScoredRow(NAMES[2], "no_digit", None, None, written.reasons()[2]),
        ScoredRow(NAMES[3], "ok", 4, 0.5, ""),
        ScoredRow(NAMES[4], "error", None, None, "empty"),
    ]


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("a.csv", "path,label\nx,3\n", "a.csv is no output of mnist-pipeline score"),
        ("a.csv", "path,status,digit,confidence,reason\nx,odd,1,1,\n", "a.csv is no output of mnist-pipeline score"),
        ("a.jsonl", "{", "a.jsonl is no output of mnist-pipeline score"),
        ("a.parquet", "PAR1", "a.parquet is no output of mnist-pipeline score"),
        ("missing.csv", None, "missing.csv: No such file or directory"),
        ("a.txt", "x", "the extension must be one of .csv, .jsonl, .parquet"),
    ],
)
def test_what_is_no_output_is_said_in_one_line(name, text, sentence, tmp_path):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(UsageError) as caught:
        list(read_rows(tmp_path / name))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
