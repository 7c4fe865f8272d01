"""When a deployment runs by itself: schedules that are sure to fire, and their next dates."""

import asyncio
import re
from datetime import datetime
from difflib import get_close_matches
from zoneinfo import available_timezones

from prefect.client.schemas.schedules import CronSchedule
from prefect.server.schemas import schedules as server

from mnist_pipeline.errors import UsageError

FIELDS = "minute hour day month weekday, such as '0 4 * * 1' for Mondays at 4"
# croniter takes more letters: r(0-5) is another minute at every look.
FIELD = re.compile(
    r"(\d|[*/,#l-]|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat)+",
    re.ASCII | re.IGNORECASE,
)


def make_schedule(cron: str, timezone: str) -> CronSchedule:
    """A schedule that fires.

    Raises:
        UsageError: ``cron`` has not five fields, is no schedule, or names days that never come; or there is no such
            zone.
    """
    fields = cron.split()
    if len(fields) != 5:
        raise UsageError(f"--cron {cron!r}: a schedule has five fields, not {len(fields)}: {FIELDS}")
    if timezone not in available_timezones():
        close = get_close_matches(timezone, available_timezones(), n=1)
        hint = f"did you mean {close[0]}?" if close else "one of them is Europe/Berlin"
        raise UsageError(f"--timezone {timezone!r} is no zone of the IANA time zone database; {hint}")
    schedule = _parse(fields, timezone)
    if schedule is None:
        raise UsageError(f"--cron {cron!r} is no schedule; its five fields are {FIELDS}")
    try:
        next_dates(schedule, 1)
    except ValueError:
        raise UsageError(f"--cron {cron!r} never fires: the months that it names do not have these days") from None
    except KeyError:  # a few names of the database are no zones to the server
        raise UsageError(f"--timezone {timezone!r} is no zone to the Prefect server; name the place's own") from None
    return schedule


def _parse(fields: list[str], timezone: str) -> CronSchedule | None:
    if not all(FIELD.fullmatch(field) for field in fields):
        return None
    _, _, day, _, weekday = fields
    # As in a crontab: where both are given, either will do; but one that has a star only narrows the other.
    either = "*" not in day and "*" not in weekday
    try:
        return CronSchedule(cron=" ".join(fields), timezone=timezone, day_or=either)
    except ValueError:
        return None


def next_dates(schedule: CronSchedule, count: int) -> list[datetime]:
    """The next dates, in the schedule's zone, as the server reckons them."""
    reckoned = server.CronSchedule(cron=schedule.cron, timezone=schedule.timezone, day_or=schedule.day_or)
    return list(asyncio.run(reckoned.get_dates(count)))
