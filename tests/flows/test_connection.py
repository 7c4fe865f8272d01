"""Whose Prefect server is used, and what is said of one that cannot be."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flows.connection import QUIET, Connection
from mnist_pipeline.errors import PipelineError, UsageError
from tests.flows.conftest import COMMAND, clean_environment
from tests.support.fake_api import FakeApi, fake_api

NONE = "none is named"
DEAD = "http://127.0.0.1:9"


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with fake_api() as found:
        yield found


@pytest.fixture
def reach(tmp_path, monkeypatch) -> Iterator[Callable[[], str]]:
    """Connect from an empty folder, with no setting of Prefect's but those that the test makes."""
    from prefect.context import refresh_global_settings_context

    for name in [name for name in os.environ if name.upper().startswith("PREFECT")]:
        monkeypatch.delenv(name)
    for name in (*QUIET, "NO_PROXY", "no_proxy", "HOME"):
        monkeypatch.setenv(name, os.environ.get(name, QUIET.get(name, "")))
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def connect() -> str:
        refresh_global_settings_context()
        return Connection(NONE).wait()

    yield connect
    monkeypatch.undo()
    refresh_global_settings_context()


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (".env", "PREFECT_API_URL={url}\n"),
        ("prefect.toml", '[api]\nurl = "{url}"\n'),
        ("pyproject.toml", '[tool.prefect.api]\nurl = "{url}"\n'),
        ("../home/profiles.toml", 'active = "office"\n[profiles.office]\nPREFECT_API_URL = "{url}"\n'),
    ],
)
def test_the_server_that_prefects_own_settings_name_is_used(reach, api, file, text):
    with pytest.raises(UsageError, match=NONE):
        reach()
    Path(file).write_text(text.format(url=api.url))
    assert reach() == api.url
    assert "/api/flows/filter" in api.requests


def test_the_environment_wins_over_files(reach, api, monkeypatch):
    Path("prefect.toml").write_text(f'[api]\nurl = "{DEAD}/api"\n')
    monkeypatch.setenv("PREFECT_API_URL", api.url)
    assert reach() == api.url


@pytest.mark.parametrize(
    ("setting", "sent"),
    [
        ({"PREFECT_API_AUTH_STRING": "me:secret"}, "Basic bWU6c2VjcmV0"),
        ({"PREFECT_API_KEY": "pnu_1"}, "Bearer pnu_1"),
    ],
)
def test_the_login_is_prefects_own(reach, api, monkeypatch, setting, sent):
    for name, value in {**setting, "PREFECT_API_URL": api.url}.items():
        monkeypatch.setenv(name, value)
    reach()
    assert {headers["Authorization"] for headers in api.headers} == {sent}


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, b'{"exception_message": "No"}', r"401 Unauthorized \(No\): set PREFECT_API_AUTH_STRING"),
        (403, b"<html>", r"403 Forbidden: .* PREFECT_API_KEY"),
        (404, b'{"detail": "Not Found"}', r"404 Not Found \(Not Found\): .* ends in /api"),
        (405, None, r"405 Method Not Allowed: .* ends in /api"),
        (500, b"", r"500 Internal Server Error: its log"),
        (503, b"", r"503 Service Unavailable: its log"),
        (200, b"<html>Sign in</html>", r"answers something else: there is no Prefect API"),
        (200, b'{"other": "service"}', r"answers something else: there is no Prefect API"),
    ],
)
def test_a_server_that_does_not_let_us_in_is_one_line_with_what_to_do(reach, api, monkeypatch, status, body, said):
    api.status, api.body = status, body
    monkeypatch.setenv("PREFECT_API_URL", api.url.replace("//", "//me:secret@"))
    with pytest.raises(PipelineError, match=rf"^the Prefect server at {api.url} .*{said}") as caught:
        reach()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown", "said"),
    [
        (f"{DEAD}/api", f"{DEAD}/api", "Connection refused"),
        ("nonsense", "nonsense", "missing an 'http://' or 'https://' protocol"),
        ("ftp://host/api", "ftp://host/api", "unsupported protocol"),
        ("http://127.0.0.1:port/api", r"http://\.\.\.", "Invalid port"),  # what cannot be parsed may hold a password
    ],
)
def test_an_address_where_nobody_answers_is_one_line(reach, monkeypatch, url, shown, said):
    monkeypatch.setenv("PREFECT_API_URL", url)
    with pytest.raises(PipelineError, match=rf"the Prefect server at {shown} does not answer \(.*{said}.*\): start it"):
        reach()


def test_a_server_of_another_major_version_is_said(reach, api, monkeypatch):
    api.answers["/api/admin/version"] = "9.0.0"
    monkeypatch.setenv("PREFECT_API_URL", api.url)
    with pytest.raises(PipelineError, match=r"incompatible versions: .*server: 9\.0\.0"):
        reach()


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("no_proxy", ["", "example.com, .internal"])
def test_a_server_on_loopback_is_reached_past_every_proxy(reach, api, monkeypatch, name, no_proxy):
    monkeypatch.setenv(name, DEAD)
    monkeypatch.setenv("no_proxy", no_proxy)
    monkeypatch.setenv("PREFECT_API_URL", api.url.replace("127.0.0.1", "localhost"))
    reach()
    assert api.requests


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"SSL_CERT_FILE": "/nowhere"}, "SSL_CERT_FILE=/nowhere: no certificates there"),
        ({"SSL_CERT_FILE": __file__}, "no certificates there"),
        ({"PREFECT_API_SSL_CERT_FILE": "/nowhere"}, "PREFECT_API_SSL_CERT_FILE=/nowhere: no certificates there"),
        ({"ALL_PROXY": "socks5://127.0.0.1:9"}, "ALL_PROXY.*: no HTTP client can work with this"),
        ({"http_proxy": DEAD, "NO_PROXY": "[::1]"}, "NO_PROXY.*: no HTTP client can work with this"),
    ],
)
def test_a_variable_that_stops_every_http_client_is_named(reach, api, monkeypatch, variables, said):
    for name, value in {**variables, "PREFECT_API_URL": api.url}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("no_proxy")
    with pytest.raises(UsageError, match=said):
        reach()


@pytest.fixture
def command(tmp_path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Run a command in a folder of its own, where no server is named."""
    (tmp_path / "here").mkdir(exist_ok=True)

    def run(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        environment = clean_environment() | {"PREFECT_HOME": str(tmp_path / "home")} | variables
        return subprocess.run(
            [*COMMAND, *arguments, "--workspace", str(tmp_path / "workspace")],
            cwd=tmp_path / "here",
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PREFECT_LOGGING_LEVEL", "nonsense", "PREFECT_LOGGING_LEVEL=NONSENSE: Input should be 'DEBUG'"),
        ("PREFECT_API_REQUEST_TIMEOUT", "soon", "PREFECT_API_REQUEST_TIMEOUT=soon: Input should be a valid number"),
    ],
)
def test_a_setting_of_prefect_that_cannot_be_is_named_in_one_line(command, name, value, said):
    done = command("run-all", "--dataset", "digits", **{name: value})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: Prefect's settings: {said}")
    assert len(done.stderr.splitlines()) == 1


def test_a_settings_file_that_is_none_is_named_in_one_line(command, tmp_path):
    (tmp_path / "here" / "prefect.toml").write_text("[api\n")
    done = command("deploy")
    assert done.returncode == 2
    assert "prefect.toml: invalid TOML" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_every_command_says_the_same_of_a_server_that_a_file_names(commands, api, tmp_path):
    here = tmp_path / "here"
    here.mkdir()
    (here / ".env").write_text(f"PREFECT_API_URL={api.url}\n")
    api.status = 401
    environment = clean_environment() | {"PREFECT_HOME": str(tmp_path / "home")}
    for arguments in (["run-all", "--dataset", "digits"], ["deploy"], ["doctor", "--dataset", "digits", "--json"]):
        done = commands.run([*arguments, "--workspace", str(tmp_path / "workspace")], environment, here)
        assert done.returncode == 1
        assert f"the Prefect server at {api.url} answers 401" in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
