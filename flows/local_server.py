"""Prefect's own local server, started beside other work.

Prefect would start one by itself at the first API call, and wait for it then, after importing
the whole server into this process as well. Started here first, its 10 to 20 seconds pass while
this process imports what it needs. It lives as long as the process that started it: its standard
input is a pipe from there, whose end it takes as the word to stop, even after a ``kill -9``.
"""

import atexit
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
import urllib.error
import urllib.request
from functools import cache
from pathlib import Path

from mnist_pipeline.errors import PipelineError, UsageError

START_SECONDS = 180
ANSWER_SECONDS = 10
QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # What happens in a run reaches the API and the Prefect UI; the terminal belongs to the command.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "mnist_pipeline",
}


def set_defaults() -> None:
    """Settings of Prefect for a command of ours; what the user has set stays. Call before importing prefect."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


class LocalServer:
    """A Prefect server on a free loopback port, as long as this process lives."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}/api"
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the server
        self._process = subprocess.Popen(
            [sys.executable, "-m", "flows.local_server", str(self._port)],
            env=os.environ | {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "ERROR"},  # why it ended, for `wait`
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,  # Ctrl-C ends the run, which still tells this server so
        )

    def wait(self) -> None:
        """Return when the server answers.

        Raises:
            PipelineError: it ended, or did not answer within `START_SECONDS`.
        """
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=5):  # noqa: S310 - our own loopback address
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        self._log.seek(0)
        reason = _reason(self._log.read().decode(errors="replace"))
        raise PipelineError(
            f"Prefect's local server did not start ({reason}); what it keeps is {prefect_home() / 'prefect.db'}: "
            "move it away if it is damaged, nothing of the pipeline is in it; else run: mnist-pipeline doctor"
        )

    def stop(self) -> None:
        """End the server. Prefect's own threads have delivered their last logs and events by then."""
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


def prefect_home() -> Path:
    """Where Prefect keeps its database and profiles."""
    return Path(os.environ.get("PREFECT_HOME") or Path.home() / ".prefect").expanduser()


def _reason(said: str) -> str:
    """Why the server ended: the last exception that it named, else its last line."""
    lines = said.strip().splitlines() or ["it said nothing"]
    named = [line for line in lines if re.match(r"[\w.]+(Error|Exception): ", line)]
    return (named or lines)[-1].strip()


def configured_url() -> str | None:
    """The API that the environment or the active profile (`prefect config set`) names; without importing Prefect."""
    if url := os.environ.get("PREFECT_API_URL"):
        return url
    profiles = Path(os.environ.get("PREFECT_PROFILES_PATH") or prefect_home() / "profiles.toml")
    try:
        found = tomllib.loads(profiles.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    profile = found.get("profiles", {}).get(os.environ.get("PREFECT_PROFILE") or found.get("active"), {})
    url = profile.get("PREFECT_API_URL")
    return str(url) if url else None


class ConfiguredServer:
    """The server that is configured; somebody else starts and stops it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def wait(self) -> None:
        """Return if the server answers.

        Raises:
            PipelineError: it does not.
        """
        try:
            urllib.request.urlopen(f"{self.url}/health", timeout=ANSWER_SECONDS).close()  # noqa: S310 - the user's own
        except urllib.error.HTTPError:
            return  # it answers; whether we may in, the first real call tells
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise PipelineError(
                f"the Prefect server at {self.url} does not answer ({reason}); start it with: prefect server start; "
                "or unset PREFECT_API_URL, and a local one runs as long as the command"
            ) from None


def require() -> ConfiguredServer:
    """The server that is configured.

    Raises:
        UsageError: there is none.
    """
    set_defaults()
    url = configured_url()
    if url is None:
        raise UsageError(
            "no Prefect server is named; start one with: prefect server start; "
            "and set PREFECT_API_URL=http://127.0.0.1:4200/api"
        )
    return ConfiguredServer(url)


@cache
def start() -> LocalServer | ConfiguredServer:
    """Start a local server unless one is configured already; the same one at every call."""
    set_defaults()
    if url := configured_url():
        return ConfiguredServer(url)
    server = LocalServer()
    # Registered before Prefect registers its own hooks, so it runs after them.
    atexit.register(server.stop)
    os.environ["PREFECT_API_URL"] = server.url
    return server


def serve(port: int) -> None:
    """Run the server until standard input ends: the child process."""
    import uvicorn

    server = uvicorn.Server(
        uvicorn.Config(
            "prefect.server.api.server:create_app", factory=True, port=port, log_level="error", lifespan="on"
        )
    )

    def stop_with_parent() -> None:
        while os.read(0, 4096):  # not sys.stdin, whose lock would be missed when the interpreter ends first
            pass
        server.should_exit = True

    threading.Thread(target=stop_with_parent, daemon=True).start()
    server.run()


if __name__ == "__main__":
    os.environ |= {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1"}
    os.environ.pop("PREFECT_API_URL", None)
    serve(int(sys.argv[1]))
