"""Prefect's database lost, damaged or locked; schedules across a change of the clocks."""

import asyncio
import shutil
import sqlite3
import threading
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml

from tests.flows.conftest import SMALL, STEPS, Prefect, clean_environment
from tests.support.forked_commands import Commands


@dataclass(frozen=True)
class Alone:
    """A workspace with one finished run, and a Prefect home for commands that bring their own server."""

    command: Prefect
    home: Path
    workspace: Path

    def run(self, code: int = 0) -> dict:
        return self.command.run("run-all", *SMALL, "--workspace", str(self.workspace), code=code)


def begin(folder: Path, commands: Commands) -> Alone:
    command = Prefect("", clean_environment() | {"PREFECT_HOME": str(folder / "prefect")}, commands)
    (folder / "prefect").mkdir(exist_ok=True)
    return Alone(command, folder / "prefect", folder / "workspace")


@pytest.fixture
def alone(commands, finished, tmp_path) -> Alone:
    """A copy of the finished workspace and of the database that knows of that run; a test may damage both."""
    for name in ("workspace", "prefect"):
        shutil.copytree(finished[0].parent / name, tmp_path / name)
    return begin(tmp_path, commands)


def test_the_loss_of_the_database_loses_nothing_of_ours(alone, finished):
    for path in alone.home.glob("prefect.db*"):
        path.unlink()
    again = alone.run()
    assert (again["reused"], again["version"]) == (STEPS, finished[1]["version"])


def test_a_damaged_database_is_one_clear_line_and_stays_for_repair(alone):
    for path in alone.home.glob("prefect.db*"):
        path.unlink()
    (alone.home / "prefect.db").write_bytes(b"this is no database" * 1_000)
    failed = alone.run(code=1)
    assert "local server did not start" in failed["error"]
    assert "file is not a database" in failed["error"]
    assert str(alone.home / "prefect.db") in failed["error"]
    assert (alone.home / "prefect.db").read_bytes().startswith(b"this is no database")


def test_a_database_of_another_version_of_prefect_is_one_clear_line(commands, tmp_path):
    alone = begin(tmp_path, commands)
    with closing(sqlite3.connect(alone.home / "prefect.db")) as database:
        database.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        database.execute("INSERT INTO alembic_version VALUES ('f000000000ff')")
        database.commit()
    failed = alone.run(code=1)
    assert f"{alone.home / 'prefect.db'} is of another version of Prefect" in failed["error"]
    assert "f000000000ff" in failed["error"]


def test_a_database_that_somebody_keeps_is_one_clear_line(commands, tmp_path):
    alone = begin(tmp_path, commands)
    impatient = alone.command.environment | {"PREFECT_SERVER_DATABASE_TIMEOUT": "1"}
    with closing(sqlite3.connect(alone.home / "prefect.db", isolation_level=None)) as held:
        held.execute("BEGIN EXCLUSIVE")
        failed = replace(alone, command=replace(alone.command, environment=impatient)).run(code=1)
    assert f"{alone.home / 'prefect.db'} is held by another process (database is locked)" in failed["error"]


def test_a_database_that_somebody_holds_is_waited_for(alone):
    held = sqlite3.connect(alone.home / "prefect.db", check_same_thread=False, isolation_level=None)
    held.execute("BEGIN EXCLUSIVE")
    release = threading.Timer(5, lambda: held.execute("COMMIT"))
    release.start()
    again = alone.run()
    release.join()
    held.close()
    assert again["reused"] == STEPS


async def _weekly(zone: str) -> list[datetime]:
    from prefect.server.schemas.schedules import CronSchedule

    from flows.deployments import find_file

    entry = next(one for one in yaml.safe_load(find_file().read_text())["deployments"] if one["name"] == "weekly")
    schedule = CronSchedule(cron=entry["schedules"][0]["cron"], timezone=zone)
    return await schedule.get_dates(n=60, start=datetime(2026, 9, 1, tzinfo=UTC))


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
def test_every_week_has_one_run_at_the_same_hour_when_the_clocks_change(zone):
    local = [when.astimezone(ZoneInfo(zone)) for when in asyncio.run(_weekly(zone))]
    assert {(when.weekday(), when.hour, when.minute) for when in local} == {(0, 4, 0)}
    assert {(after.date() - before.date()).days for before, after in pairwise(local)} == {7}
    assert len({when.utcoffset() for when in local}) == 2  # the year has both
