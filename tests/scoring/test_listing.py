"""Listings: complete, sorted, without duplicates, in bounded memory."""

import codecs
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_pipeline.errors import UsageError
from mnist_pipeline.scoring.sources import listing
from mnist_pipeline.scoring.sources.listing import Skipped, read_list, scan_folder, sort_names

MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
names = st.binary(min_size=1, max_size=6).filter(
    lambda name: not set(name) & set(b"\0\n\r") and not name.startswith(MARKS)
)


@given(st.lists(names, max_size=60))
def test_names_are_sorted_through_the_disk_without_duplicates(chosen):
    told: list[int] = []
    with pytest.MonkeyPatch.context() as patch, listing_folder() as folder:
        patch.setattr(listing, "RUN_NAMES", 4)
        patch.setattr(listing, "REPORT_EVERY", 3)
        found = sort_names(chosen, folder, told.append)
        assert found.count == len(chosen)
        assert list(found) == sorted(set(chosen))
        assert list(found) == sorted(set(chosen)), "it can be read again"
        found.close()
        assert not list(folder.iterdir())
    assert told == sorted(told)
    assert (told[-1] if told else 0) == len(chosen)


def listing_folder():
    import contextlib
    import tempfile

    @contextlib.contextmanager
    def folder():
        with tempfile.TemporaryDirectory() as path:
            yield Path(path)

    return folder()


@given(st.lists(names))
def test_a_list_is_read_by_lines_or_by_nul(chosen):
    for end in (b"\n", b"\r\n"):
        assert list(read_list(io.BytesIO(b"".join(name + end for name in chosen)))) == chosen
    assert list(read_list(io.BytesIO(b"\n".join(chosen)))) == chosen, "the last line may lack its end"


def _may_begin(name: bytes) -> bool:
    return b"\0" not in name and not name.startswith(MARKS)


@given(st.lists(st.binary(min_size=1, max_size=6).filter(_may_begin), min_size=1))
def test_a_list_with_nul_may_hold_any_name(chosen):
    assert list(read_list(io.BytesIO(b"".join(name + b"\0" for name in chosen)))) == chosen


ends = set("\0\n\r\ufeff")
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda name: not set(name) & ends)


@given(
    st.lists(texts),
    st.sampled_from(["utf-8-sig", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]),
    st.sampled_from(["\n", "\r\n", "\0"]),
)
def test_a_list_with_a_byte_order_mark_is_read_in_its_encoding(chosen, encoding, end):
    text = "".join(name + end for name in chosen)
    data = text.encode(encoding) if encoding == "utf-8-sig" else f"\ufeff{text}".encode(encoding)
    assert [name.decode() for name in read_list(io.BytesIO(data))] == chosen


def test_an_encoding_that_crosses_blocks_and_ends_in_the_middle_of_a_letter_costs_the_last_name(monkeypatch):
    monkeypatch.setattr(listing, "BLOCK", 5)
    data = "\ufeffäöü.png\nb😀.png\nc".encode("utf-16-le")[:-1]
    found = [name.decode() for name in read_list(io.BytesIO(data))]
    assert found == ["äöü.png", "b😀.png", "\ufffd"]


def test_a_nul_that_comes_late_ends_a_name_too():
    lines = b"".join(b"%05d.png\n" % number for number in range(10_000))
    found = list(read_list(io.BytesIO(lines + b"a.png\0b.png\0")))
    assert len(found) == 10_002
    assert found[-2:] == [b"a.png", b"b.png"]


def test_what_is_no_list_is_refused_before_it_fills_the_memory():
    with pytest.raises(UsageError, match="a line of more than 1,048,576 bytes is no path"):
        list(read_list(io.BytesIO(bytes([1]) * 2_000_000)))


def test_a_list_longer_than_a_block_keeps_every_name():
    chosen = [b"%d" % number * 3 for number in range(40_000)]
    assert list(read_list(io.BytesIO(b"\n".join(chosen)))) == chosen


def test_a_folder_is_listed_at_any_depth_without_what_is_hidden_or_excluded(tmp_path):
    for name in ("b.png", "a/c.png", "a/d/e", "a/.hidden.png", ".git/f.png", "out.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    skipped = Skipped()
    found = sorted(scan_folder(tmp_path, frozenset({b"out.csv"}), skipped))
    assert found == [b"a/c.png", b"a/d/e", b"b.png"]
    assert skipped.entries == {"hidden": 2}
    assert skipped.unreadable == []


MEMORY = """
import resource, sys, tempfile
from pathlib import Path
from mnist_pipeline.scoring.sources.listing import sort_names
with tempfile.TemporaryDirectory() as folder:
    count = int(sys.argv[1])
    names = (b"folder/image-%08d.png" % (number * 7919 % count) for number in range(count))
    found = sort_names(names, Path(folder), lambda _: None)
    previous = b""
    for number, name in enumerate(found):
        assert name > previous
        previous = name
    assert number + 1 == count
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.skipif(os.name != "posix", reason="getrusage")
def test_ten_times_as_many_names_take_no_more_memory():
    peaks = [
        int(subprocess.run([sys.executable, "-c", MEMORY, count], capture_output=True, text=True, check=True).stdout)
        for count in ("100000", "1000000")
    ]
    assert peaks[1] - peaks[0] < 10, peaks
