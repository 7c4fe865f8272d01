"""No value of a table is cut or broken over lines, however narrow the terminal; a pipe gets one record a line."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from mnist_pipeline.cli.tables import Table, escaped, one_line, render
from mnist_pipeline.runs.wording import moment

VERSIONS = Table(
    ["model", "version", "accuracy", "aliases", "created"],
    [
        ("digits", "51378c7082f7", "91.39 %", "champion", "2026-11-25 21:07 UTC"),
        ("digits", "08c2a0eaacfb", "90.00 %", "", "2026-11-24 04:00 UTC"),
    ],
    needed=3,
)


def test_a_wide_terminal_gets_every_column_aligned_under_its_name():
    assert render(VERSIONS, 80) == [
        "MODEL   VERSION       ACCURACY  ALIASES   CREATED",
        "digits  51378c7082f7  91.39 %   champion  2026-11-25 21:07 UTC",
        "digits  08c2a0eaacfb  90.00 %             2026-11-24 04:00 UTC",
    ]


def test_on_a_narrow_one_the_last_columns_are_left_out_and_named():
    assert render(VERSIONS, 40) == [
        "MODEL   VERSION       ACCURACY  ALIASES",
        "digits  51378c7082f7  91.39 %   champion",
        "digits  08c2a0eaacfb  90.00 %",
        "left out for want of room: created; a",
        "pipe and --json have everything",
    ]


def test_where_not_even_the_needed_columns_have_room_each_record_is_a_block():
    assert render(VERSIONS, 29) == [
        "model     digits",
        "version   51378c7082f7",
        "accuracy  91.39 %",
        "aliases   champion",
        "created",
        "    2026-11-25 21:07 UTC",
        "",
        "model     digits",
        "version   08c2a0eaacfb",
        "accuracy  90.00 %",
        "created",
        "    2026-11-24 04:00 UTC",
    ]


def test_a_sentence_follows_below_its_record_where_it_has_no_room_beside_it():
    table = Table(
        ["run", "status"], [("r1", "promoted", ""), ("r2", "failed", "it diverged in epoch 3")], prose="reason"
    )
    beside = ["RUN  STATUS    REASON", "r1   promoted", "r2   failed    it diverged in epoch 3"]
    assert render(table, 40) == beside
    assert render(table, 30) == [*beside[:2], "r2   failed", "    it diverged in epoch 3"]
    assert render(table, 24) == ["RUN  STATUS    REASON", "r1   promoted", "r2   failed", "  it diverged in epoch 3"]


def test_a_pipe_gets_one_record_a_line_with_tabs_and_no_heading():
    assert render(VERSIONS, None) == [
        "digits\t51378c7082f7\t91.39 %\tchampion\t2026-11-25 21:07 UTC",
        "digits\t08c2a0eaacfb\t90.00 %\t\t2026-11-24 04:00 UTC",
    ]


NAMES = ["alpha", "beta", "gamma", "delta", "epsilon"]
texts = st.text(max_size=60).map(str.strip)


@st.composite
def tables(draw):
    count = draw(st.integers(1, len(NAMES)))
    prose = draw(st.sampled_from([None, "prose"]))
    row = st.tuples(*[texts] * (count + bool(prose)))
    rows = draw(st.lists(row, min_size=1, max_size=4))
    return Table(NAMES[:count], rows, needed=draw(st.integers(1, count)), prose=prose)


@pytest.mark.parametrize("width", [40, 60, 80, 200])
@given(table=tables())
def test_every_value_is_whole_or_its_column_is_named_and_no_line_is_too_long(width, table):
    lines = render(table, width)
    said = [place for place, line in enumerate(lines) if line.startswith("left out for want of room: ")]
    left_out = " ".join(lines[said[0] :]) if said else ""
    names = [*table.columns, *([table.prose] if table.prose else [])]
    for row in table.rows:
        for name, cell in zip(names, row, strict=True):
            assert any(escaped(cell) in line for line in lines) or name in left_out
    values = {escaped(cell) for row in table.rows for cell in row}
    for line in lines:
        assert cell_len(line) <= width or line in values
        assert "\n" not in line
    assert not said or all(name not in left_out for name in names[: table.needed])


@given(table=tables())
def test_in_a_pipe_the_values_of_a_record_are_read_back_by_cutting_at_tabs(table):
    lines = render(table, None)
    assert [line.split("\t") for line in lines] == [[escaped(cell) for cell in row] for row in table.rows]


@given(st.text())
def test_a_value_takes_one_line_whatever_it_holds(text):
    shown = escaped(text)
    assert shown.isprintable()
    assert len(shown.splitlines()) <= 1
    assert one_line(f"{text}\n{text}").isprintable()


def test_what_moves_the_cursor_is_written_as_an_escape():
    assert escaped("a\tb\nc\x1b[31m \udcff \ud800 \u202e é 你") == r"a\tb\nc\x1b[31m \xff \ud800 \u202e é 你"
    assert escaped("91.39\u00a0%") == "91.39 %"
    assert one_line("2 errors:\n  first\n  second\x07") == r"2 errors: first second\x07"


def test_times_are_told_in_utc():
    east = dt.timezone(dt.timedelta(hours=2))
    assert moment(dt.datetime(2026, 11, 25, 23, 7, 59, tzinfo=east)) == "2026-11-25 21:07 UTC"
