"""Prefect's own local server, started beside other work.

Prefect would start one by itself at the first API call, and wait for it then, after importing
the whole server into this process as well. Started here first, its 10 to 20 seconds pass while
this process imports what it needs. It lives as long as the process that started it: its standard
input is a pipe from there, whose end it takes as the word to stop, even after a ``kill -9``.
"""

import atexit
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from functools import cache

from mnist_pipeline.errors import PipelineError

START_SECONDS = 180
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
        said = self._log.read().decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise PipelineError(f"Prefect's local server did not start ({said[-1]}); run: mnist-pipeline doctor")

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


@cache
def start() -> LocalServer | None:
    """Start a local server unless PREFECT_API_URL names one already; the same one at every call."""
    set_defaults()
    if os.environ.get("PREFECT_API_URL"):
        return None
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
        sys.stdin.buffer.read()
        server.should_exit = True

    threading.Thread(target=stop_with_parent, daemon=True).start()
    server.run()


if __name__ == "__main__":
    os.environ |= {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1"}
    os.environ.pop("PREFECT_API_URL", None)
    serve(int(sys.argv[1]))
