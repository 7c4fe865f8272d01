"""A schedule that is taken fires, when a crontab would say; any other is refused in words."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mnist_pipeline.errors import UsageError

BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


class Crontab:
    """When a line of a crontab is due, after the manual of Vixie cron; numbers only."""

    def __init__(self, cron: str) -> None:
        self.fields = cron.split()
        self.minutes, self.hours, self.days, self.months, weekdays = (
            {number for element in field.split(",") for number in self._numbers(element, *bounds)}
            for field, bounds in zip(self.fields, BOUNDS, strict=True)
        )
        self.weekdays = {number % 7 for number in weekdays}

    @staticmethod
    def _numbers(element: str, low: int, high: int) -> range:
        span, _, step = element.partition("/")
        first, _, last = span.partition("-")
        begin, end = (low, high) if span == "*" else (int(first), int(last or first))
        return range(begin, end + 1, int(step or 1))

    def is_due(self, when: datetime) -> bool:
        days = (when.day in self.days, when.isoweekday() % 7 in self.weekdays)
        starred = "*" in self.fields[2] or "*" in self.fields[4]
        right_day = all(days) if starred else any(days)
        return when.minute in self.minutes and when.hour in self.hours and when.month in self.months and right_day


def refusal(cron: str, zone: str) -> str | None:
    from flows.cron import make_schedule

    try:
        make_schedule(cron, zone)
    except UsageError as refused:
        return str(refused)
    return None


def fields(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high).map(str)
    ranges = st.lists(st.integers(low, high), min_size=2, max_size=2, unique=True).map(sorted)
    step = st.integers(1, high).map(lambda every: f"/{every}") | st.just("")
    spans = st.builds("{0[0]}-{0[1]}{1}".format, ranges, step) | st.builds("*{}".format, step)
    return st.lists(number | spans, min_size=1, max_size=3).map(",".join)


CRONS = st.tuples(*(fields(*bounds) for bounds in BOUNDS)).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(CRONS)
@example("0 4 * * 7")
@example("30 4 1,15 * 5")
@example("0 4 1 * */2")
@example("0 4 */2 * 1")
def test_what_is_accepted_fires_next_when_a_crontab_would(cron):
    from flows.cron import make_schedule, next_dates

    if refused := refusal(cron, "UTC"):
        assert "never fires" in refused
        return
    crontab = Crontab(cron)
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    first, second = next_dates(make_schedule(cron, "UTC"), 2)
    assert now <= first < second
    assert crontab.is_due(first)
    assert crontab.is_due(second)
    before_first = [now + timedelta(minutes=minute) for minute in range(1, 1_500)]
    before_second = [first + timedelta(minutes=minute) for minute in range(1, 1_500)]
    assert not [when for when in before_first if when < first and crontab.is_due(when)]
    assert not [when for when in before_second if when < second and crontab.is_due(when)]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.text("0123456789*/,-#lrhLWmonfeb()?@ ٣", min_size=1, max_size=6), min_size=4, max_size=6).map(" ".join)
)
@example("r(0-5) 4 * * *")
@example("r/15 * * * *")
@example("٣ 4 * * *")
@example("@weekly")
@example("0 0 4 * * 1")
@example("0 4 31 2 *")
@example("0 4 31 4,6,9,11 *")
@example("0 4 1 1 1#5")
@example("")
@example(" ")
@example("*/0 * * * *")
@example("60 4 * * *")
def test_any_other_text_is_refused_in_one_line_or_has_dates_that_stay(cron):
    from flows.cron import make_schedule, next_dates

    if refused := refusal(cron, "Europe/Berlin"):
        assert refused.startswith(f"--cron {cron!r}")
        assert "\n" not in refused
        return
    schedule = make_schedule(cron, "Europe/Berlin")
    assert len(schedule.cron.split()) == 5
    dates = next_dates(schedule, 3)
    assert dates == next_dates(schedule, 3)
    assert datetime.now(UTC) - timedelta(minutes=1) < dates[0] < dates[1] < dates[2]


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        ("Europe/Berln", "did you mean Europe/Berlin?"),
        ("europe/berlin", "did you mean Europe/Berlin?"),
        ("", "one of them is"),
        ("../etc/passwd", "is no zone"),
        ("localtime", "is no zone"),
        ("Factory", "is no zone"),
    ],
)
def test_a_zone_that_is_none_is_refused_in_words(zone, said):
    refused = refusal("0 4 * * 1", zone)
    assert refused.startswith(f"--timezone {zone!r}")
    assert said in refused


def test_dates_are_those_of_the_zone():
    from flows.cron import make_schedule, next_dates

    dates = next_dates(make_schedule("0 4 * * 1", "Europe/Berlin"), 3)
    assert {(when.strftime("%a %H:%M"), when.utcoffset()) for when in dates} <= {
        ("Mon 04:00", timedelta(hours=1)),
        ("Mon 04:00", timedelta(hours=2)),
    }
    assert [when.astimezone(ZoneInfo("Europe/Berlin")) for when in dates] == dates
