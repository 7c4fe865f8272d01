"""Writes are whole or did not happen."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_pipeline import files

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
)


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_else(tmp_path):
    target = tmp_path / "report.html"
    files.write_bytes(target, b"old")
    with pytest.raises(RuntimeError, match="half way"), files.open_atomic(target) as file:
        file.write(b"new, but only ha")
        raise RuntimeError("half way")
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_readers_see_the_new_bytes_only_after_the_block(tmp_path):
    target = tmp_path / "new" / "folder" / "model.onnx"
    with files.open_atomic(target) as file:
        file.write(b"bytes")
        assert not target.exists()
    assert target.read_bytes() == b"bytes"


@given(json_values)
def test_canonical_json_is_equal_for_equal_values_whatever_the_order_of_keys(value):
    shuffled = json.loads(json.dumps(value))
    if isinstance(shuffled, dict):
        shuffled = dict(reversed(shuffled.items()))
    assert files.canonical_json(shuffled) == files.canonical_json(value)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_json_refuses_what_json_cannot_say(tmp_path, value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "x.json", {"loss": value})
    assert list(tmp_path.iterdir()) == []


def test_digest_of_a_file_is_that_of_its_bytes(tmp_path):
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    # FIPS 180-4, example of SHA-256.
    assert files.sha256_file(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files.sha256_file(path) == files.sha256_bytes(b"abc")
