import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_pipeline.errors import IntegrityError, RegistryError, UsageError
from mnist_pipeline.registry import digest_of
from mnist_pipeline.registry.manifest import check_alias_name, check_model_name, compare_files, entry_of, parse_manifest


@given(st.from_regex(r"[a-z0-9._-]{1,70}", fullmatch=True) | st.text(max_size=70))
def test_an_accepted_name_is_one_plain_path_segment(name: str) -> None:
    try:
        check_model_name(name)
    except UsageError:
        return
    assert Path(name).name == name
    assert name not in {".", ".."}
    assert name == name.lower().strip(" .")
    assert name.isascii()
    assert 1 <= len(name) <= 64


@pytest.mark.parametrize("name", ["mnist", "0", "a.b", "digits_2", "m-1", "a" * 64, "console", "nullable"])
def test_ordinary_names_are_accepted(name: str) -> None:
    assert check_model_name(name) == name


@pytest.mark.parametrize("name", ["beef", "0123456789ab", "0"])
def test_an_alias_cannot_be_taken_for_a_version(name: str) -> None:
    with pytest.raises(UsageError, match="not a hexadecimal digit"):
        check_alias_name(name)


def edit(published, **changes: object) -> bytes:
    content = json.loads((published.directory / "manifest.json").read_text())
    return json.dumps(content | changes).encode()


def test_a_manifest_of_a_later_release_says_so(publish) -> None:
    one = publish(1)
    with pytest.raises(RegistryError, match="schema version 2, this program reads 1; update"):
        parse_manifest(edit(one, schema_version=2), "mnist", one.version)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"files": {}}, "names no model.onnx"),
        ({"files": {"../../etc/passwd": {"sha256": "0" * 64, "bytes": 1}}}, "damaged"),
        ({"files": {"model.onnx": {"sha256": "0" * 64, "bytes": 1}}}, "belongs to"),
        ({"files": {"model.onnx": {"sha256": "0" * 64, "bytes": -1}}}, "damaged"),
        ({"version": "0" * 12}, "belongs to"),
        ({"model": "other"}, "belongs to mnist|belongs to other"),
        ({"created": "yesterday"}, "created"),
        ({"created": "2026-01-01T00:00:00"}, "created"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_what_is_not_the_manifest_of_the_version_is_refused(publish, changes, reason) -> None:
    one = publish(1)
    with pytest.raises(IntegrityError, match=reason):
        parse_manifest(edit(one, **changes), "mnist", one.version)


@given(st.binary(max_size=200))
def test_no_bytes_end_in_a_traceback(data: bytes) -> None:
    with pytest.raises(IntegrityError):
        parse_manifest(data, "mnist", "0" * 12)


def test_files_are_compared_by_name_size_and_digest() -> None:
    one, two = entry_of(b"one"), entry_of(b"two")
    expected = {"same": one, "changed": one, "missing": one, "fifo": one}
    found = {"same": one, "changed": two, "fifo": None, "extra": two}
    assert [(name, problem.split(":")[0]) for name, problem in compare_files(expected, found).items()] == [
        ("changed", "changed"),
        ("extra", "unexpected"),
        ("fifo", "not a regular file"),
        ("missing", "missing"),
    ]


def test_equal_configs_have_equal_digests() -> None:
    assert digest_of({"a": 1, "b": [1.5]}) == digest_of({"b": [1.5], "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": 2})
