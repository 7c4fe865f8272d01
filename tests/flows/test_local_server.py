"""Prefect's local server: started by the command, whatever is around it, and gone with it."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest
from filelock import FileLock

from flows import local_server
from flows.local_server import LocalServer
from mnist_pipeline.errors import PipelineError
from tests.flows.conftest import SMALL, Prefect

FOR_OTHERS = {
    "PREFECT_SERVER_API_BASE_PATH": "/prefect/api",
    "PREFECT_SERVER_API_AUTH_STRING": "admin:secret",
    "prefect_server_api_csrf_protection_enabled": "true",
    "PREFECT_SERVER_DATABASE_MIGRATE_ON_START": "false",
    "PREFECT_SERVER_EVENTS_MESSAGING_BROKER": "prefect_redis.messaging",
    "PREFECT_SERVER_DOCKET_URL": "redis://127.0.0.1:9/0",
}
"""What the environment of a server that people share may hold."""
PROXIES = {f"{scheme}_proxy": "http://127.0.0.1:9" for scheme in ("http", "HTTPS", "all")}
TRAPS = ("random.py", "json.py", "socket.py", "flows.py", "mnist_pipeline/__init__.py", "flows/__init__.py")
NO_NAMESPACE = subprocess.run(["unshare", "--user", "--map-user=12345", "true"], check=False).returncode != 0


def without_server(prefect: Prefect, home: Path, **variables: str) -> dict[str, str]:
    clean = {name: value for name, value in prefect.environment.items() if name != "PREFECT_API_URL"}
    return clean | {"PREFECT_HOME": str(home)} | variables


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture
def trapped(tmp_path) -> Path:
    """A folder whose files raise when somebody imports them, and whose settings are for a server of others."""
    folder = tmp_path / "here"
    for name in TRAPS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("raise SystemExit(f'{__file__} was imported')\n")
    (folder / "prefect.toml").write_text('[server.api]\nbase_path = "/other/api"\n')
    return folder


def test_two_commands_at_once_bring_their_own_whatever_is_around_them(prefect, finished, trapped, tmp_path):
    """In a fresh Prefect home, behind a proxy that is not there, with settings of another server."""
    environment = without_server(prefect, tmp_path / "prefect", **FOR_OTHERS, **PROXIES)
    workspaces = [shutil.copytree(finished[0], tmp_path / name) for name in ("one", "other")]
    command = [sys.executable, "-P", "-m", "mnist_pipeline", "run-all", *SMALL, "--quiet", "--workspace"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    running = [subprocess.Popen([*command, place], cwd=trapped, env=environment, **pipes) for place in workspaces]
    said = [process.communicate(timeout=240) for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    for output, errors in said:
        assert finished[1]["version"] in output
        assert errors == ""
    with closing(sqlite3.connect(tmp_path / "prefect" / "prefect.db")) as database:
        assert database.execute("SELECT count(*) FROM flow_run WHERE state_type = 'COMPLETED'").fetchone() == (2,)


@pytest.mark.skipif(NO_NAMESPACE, reason="no user namespaces here")
def test_a_user_whom_the_system_does_not_know_gets_a_home_of_its_own(prefect, finished, tmp_path):
    workspace = shutil.copytree(finished[0], tmp_path / "workspace")
    (tmp_path / "here").mkdir()
    (tmp_path / "temporary").mkdir()
    home = tmp_path / "temporary" / "mnist-pipeline-12345"
    known = without_server(prefect, Path(), TMPDIR=str(home.parent))
    environment = {name: known[name] for name in known if name not in {"HOME", "USER", "LOGNAME", "PREFECT_HOME"}}
    arguments = ["run-all", *SMALL, "--quiet", "--workspace", str(workspace)]
    command = ["unshare", "--user", "--map-user=12345", sys.executable, "-P", "-m", "mnist_pipeline", *arguments]

    def run() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command, cwd=tmp_path / "here", env=environment, capture_output=True, text=True, timeout=240, check=False
        )

    done = run()
    assert done.returncode == 0, done.stderr
    assert finished[1]["version"] in done.stdout
    assert (home / ".prefect" / "prefect.db").is_file()
    assert home.stat().st_mode & 0o777 == 0o700
    assert not list((tmp_path / "here").iterdir())
    home.chmod(0o755)
    refused = run()
    assert (refused.returncode, refused.stderr) == (
        2,
        f"error: HOME is not set, and {home} could be read or made by others; set HOME\n",
    )


def test_a_home_that_cannot_be_written_is_said_alike_by_every_command(prefect, tmp_path):
    (tmp_path / "file").write_text("")
    environment = without_server(prefect, Path(), HOME=str(tmp_path / "file"))
    del environment["PREFECT_HOME"]
    alone = Prefect("", environment, prefect.commands)
    said = f"Prefect keeps its database in {tmp_path / 'file' / '.prefect'}, which cannot be written (Not a directory)"
    failed = alone.run("run-all", "--dataset", "digits", "--workspace", str(tmp_path / "workspace"), code=1)
    assert said in failed["error"]
    found = alone.run("doctor", "--dataset", "digits", "--workspace", str(tmp_path / "workspace"), code=1)
    assert [(row["name"], said in row["detail"]) for row in found["checks"] if row["state"] == "broken"] == [
        ("prefect server", True)
    ]


def test_the_server_ends_with_a_killed_parent(fresh_home, tmp_path):
    parent = (
        "import os, signal\n"
        "from flows.local_server import LocalServer\n"
        "print(LocalServer().wait(), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = os.environ | {"PREFECT_HOME": str(shutil.copytree(fresh_home, tmp_path / "prefect"))}
    done = subprocess.run([sys.executable, "-c", parent], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 60
    while answers(done.stdout.strip()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not answers(done.stdout.strip())


def test_a_long_start_is_told_and_has_an_end(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    from flows.server_process import LOCK

    monkeypatch.setattr(local_server, "NEWS_SECONDS", 1)
    monkeypatch.setattr(local_server, "START_SECONDS", 2)
    with FileLock(tmp_path / LOCK), pytest.raises(PipelineError, match="did not answer within 2 s"):
        LocalServer().wait()
    assert caplog.messages == ["Prefect's local server is still starting, after 1 s"]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (
            "sqlite+aiosqlite:////nowhere/prefect.db",
            r"Prefect's database /nowhere/prefect\.db cannot be used \(unable to open database file\)",
        ),
        ("nonsense", r"sqlalchemy\.exc\.ArgumentError: Could not parse SQLAlchemy URL"),
    ],
)
def test_why_the_server_does_not_start_is_told_in_its_own_words(tmp_path, monkeypatch, url, said):
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", url)
    server = LocalServer()
    with pytest.raises(PipelineError, match=rf"^Prefect's local server did not start: {said}"):
        server.wait()
    server.stop()
