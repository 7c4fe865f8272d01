import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_pipeline.errors import IntegrityError, UsageError
from mnist_pipeline.registry.history import Change, History, Publication, check_reason, parse_when
from mnist_pipeline.registry.moves import Author

EMPTY = History((), "")
texts = st.text(st.characters(codec="utf-8"), max_size=20)
versions = st.sampled_from([f"{n:012x}" for n in range(4)])


@st.composite
def changes(draw: st.DrawFn) -> Change:
    return Change(
        time=draw(st.datetimes(timezones=st.just(dt.UTC))),
        action=draw(st.sampled_from(["promote", "rollback"])),
        alias="champion",
        before=draw(st.none() | versions),
        after=draw(versions),
        who=draw(texts),
        run=draw(st.none() | texts),
        reason=draw(texts),
    )


@given(st.lists(changes(), max_size=8), st.lists(changes(), max_size=3))
def test_what_is_appended_is_read_back(first: list[Change], second: list[Change]) -> None:
    data = EMPTY.encode(first)
    history = History.parse(data, "h")
    assert list(history.changes) == first
    assert list(History.parse(data + history.encode(second), "h").changes) == [*first, *second]


@given(st.lists(changes(), min_size=1, max_size=4), st.data())
def test_wherever_a_writer_was_killed_whole_lines_count_and_no_others(
    written: list[Change], data: st.DataObject
) -> None:
    encoded = EMPTY.encode(written)
    cut = data.draw(st.integers(0, len(encoded)))
    kept = History.parse(encoded[:cut], "h").changes
    assert list(kept) == written[: encoded[:cut].count(b"\n")]


@given(st.lists(changes(), min_size=2, max_size=4), st.data())
def test_no_line_can_be_changed_left_out_or_put_in(written: list[Change], data: st.DataObject) -> None:
    lines = EMPTY.encode(written).splitlines(keepends=True)
    victim = data.draw(st.integers(0, len(lines) - 2))
    position = data.draw(st.integers(0, len(lines[victim]) - 2))
    flipped = bytearray(lines[victim])
    flipped[position] ^= 1
    for forged in (
        [*lines[:victim], bytes(flipped), *lines[victim + 1 :]],
        [*lines[:victim], *lines[victim + 1 :]],
        [*lines[:victim], lines[-1], *lines[victim:]],
    ):
        with pytest.raises(IntegrityError, match=r"h line \d+ is not what was written"):
            History.parse(b"".join(forged), "h")


def promotions(*names: str) -> History:
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    author = Author("w", None, "r")
    publication = Publication(
        accuracy=0.9,
        samples=360,
        dataset="digits",
        run="20260101-abcdef",
        manifest_sha256="0" * 64,
        signature_sha256=None,
        created=start,
        preset="codelab",
        bytes=1,
        promoted=True,
    )
    publications = [author.change(start, "publish", after=name, publication=publication) for name in sorted(set(names))]
    moves = [
        author.change(start + dt.timedelta(days=day), "promote", alias="champion", after=name)
        for day, name in enumerate(names)
    ]
    return EMPTY.plus([*publications, *moves])


@pytest.mark.parametrize(
    ("promoted", "walk"),
    [("", ""), ("A", ""), ("AB", "A"), ("ABC", "BA"), ("ABA", "BA"), ("AABB", "A"), ("ABAB", "ABA")],
)
def test_rollbacks_undo_promotions_from_the_last_to_the_first(promoted: str, walk: str) -> None:
    history, walked = promotions(*promoted), ""
    while target := history.rollback_target():
        walked += target
        last = history.changes[-1]
        history = history.plus([last.model_copy(update={"action": "rollback", "after": target})])
    assert walked == walk


@pytest.mark.parametrize(
    ("moves", "withdrawn"),
    [
        ([], ""),
        (["run A", "run B"], ""),
        (["run A", "run B", "anna A"], "B"),
        (["run A", "run B", "anna A", "run C"], "B"),
        (["run A", "run B", "anna A", "anna B"], "A"),
        (["run A", "run B", "anna A", "run B"], ""),
        (["run A", "run B", "anna A", "anna B", "run C"], "A"),
        (["run A", "run B", "anna A", "anna B", "run C", "anna B", "anna A"], "BC"),
        (["run A", "anna B", "anna C", "anna A"], "BC"),
    ],
)
def test_withdrawn_is_whose_place_a_person_took_last(moves: list[str], withdrawn: str) -> None:
    history = EMPTY
    for move in moves:
        who, version = move.split()
        change = Change(
            time=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
            action="promote",
            alias="champion",
            before=history.aliases.get("champion"),
            after=version,
            who=who,
            run=None if who == "anna" else "20260101-abcdef",
            reason="r",
        )
        history = history.plus([change, change.model_copy(update={"alias": "other", "before": "X"})])
    assert set(history.withdrawn) == set(withdrawn)
    assert all((change.before, change.who) == (version, "anna") for version, change in history.withdrawn.items())


def test_a_rollback_passes_over_pruned_versions() -> None:
    history = promotions(*"ABC")
    pruned = history.changes[0].model_copy(update={"action": "prune", "before": "B", "after": None})
    assert history.plus([pruned]).rollback_target() == "A"


def test_protected_are_aliases_the_way_back_and_the_last_two_champions() -> None:
    history = promotions(*"ABCD")
    assert history.protected == {"C", "D"}
    back = history.changes[-1].model_copy(update={"action": "rollback", "after": "C"})
    assert history.plus([back]).protected == {"B", "C", "D"}
    other = history.changes[-1].model_copy(update={"alias": "candidate", "after": "A"})
    assert history.plus([other]).protected == {"A", "C", "D"}


def test_a_date_means_its_end_in_utc() -> None:
    history = promotions("A", "B")
    assert [
        getattr(history.at(parse_when(day)), "after", None) for day in ("2025-12-31", "2026-01-01", "2026-01-02")
    ] == [
        None,
        "A",
        "B",
    ]
    assert parse_when("2026-01-02T01:00:00+01:00") == dt.datetime(2026, 1, 2, tzinfo=dt.UTC)


DATES = ["{0:%Y-%m-%d}", "{0:%Y%m%d}", "{1.year:04}-W{1.week:02}-{1.weekday}", "{1.year:04}W{1.week:02}{1.weekday}"]


@given(st.dates(dt.date(1000, 1, 10)), st.sampled_from(DATES))
def test_a_date_in_any_form_of_iso_8601_means_its_end(day: dt.date, form: str) -> None:
    assert parse_when(form.format(day, day.isocalendar())) == dt.datetime.combine(day, dt.time.max, dt.UTC)


@pytest.mark.parametrize("week", ["2026-W48", "2026W48"])
def test_a_week_means_the_end_of_its_sunday(week: str) -> None:
    assert parse_when(week) == dt.datetime(2026, 11, 29, 23, 59, 59, 999_999, tzinfo=dt.UTC)


@given(st.datetimes().filter(lambda time: time.year >= 1000), st.timezones() | st.just(dt.UTC) | st.none())
def test_a_time_is_that_instant_in_utc(time: dt.datetime, zone: dt.tzinfo | None) -> None:
    text = time.replace(tzinfo=zone).isoformat()
    try:
        expected = (dt.datetime.fromisoformat(text) if zone else time.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)
    except (OverflowError, ValueError):  # the last day of the calendar, west of Greenwich
        return
    found = parse_when(text)
    assert (found, found.tzinfo) == (expected, dt.UTC)


@pytest.mark.parametrize(
    "text", ["2026-13-01", "2026-11-31", "20261", "2026-W54", "0001-01-01T00:00+14:00", "", "\ud800"]
)
def test_what_is_no_date_and_no_time_is_refused_with_the_value(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_when(text)
    assert str(caught.value).startswith(f"{text!r} is neither a date (2026-11-01) nor a time")


@pytest.mark.parametrize(("text", "says"), [("", "is blank"), (" \t", "is blank"), ("a\udcff", "is not text in UTF-8")])
def test_a_reason_that_tells_a_reader_nothing_is_refused(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        check_reason(text)
