"""A Prefect server of our own, which runs beside other work in a process of its own (`flows.server_process`)."""

import atexit
import json
import logging
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from mnist_pipeline.errors import PipelineError
from mnist_pipeline.network import loopback_without_proxy

START_SECONDS = 180
NEWS_SECONDS = 15
STOP_SECONDS = 15
logger = logging.getLogger("mnist_pipeline.flows")


def _absolute_home() -> dict[str, str]:
    """Where Prefect keeps its database, for a process in another folder."""
    home = os.environ.get("PREFECT_HOME")
    return {"PREFECT_HOME": str(Path(home).expanduser().resolve())} if home else {}


class LocalServer:
    """A Prefect server on a free loopback port, as long as this process lives.

    Its standard input is a pipe from here, whose end it takes as the word to stop, even after a ``kill -9``.
    """

    def __init__(self) -> None:
        self._url: str | None = None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the server
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "flows.server_process"],  # -P: no module of the current folder
            env=os.environ | loopback_without_proxy() | _absolute_home(),
            cwd=Path(os.sep).resolve(),  # Prefect's migrations put the current folder in front of all other modules
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,  # Ctrl-C ends the run, which still tells this server so
        )
        # Registered before Prefect, which is imported later, registers its own hooks: so it runs after them.
        atexit.register(self.stop)

    def wait(self) -> str:
        """The address of the API, once the server answers.

        Raises:
            PipelineError: it ended, or did not answer within `START_SECONDS`.
        """
        done = threading.Event()
        threading.Thread(target=self._watch, args=(done,), daemon=True).start()
        try:
            answer = self._process.stdout.readline() if self._process.stdout else b""
        finally:
            done.set()
        said = json.loads(answer or "{}")
        if "url" not in said:
            raise PipelineError(f"Prefect's local server did not start: {said.get('error') or self._last_words()}")
        self._url = str(said["url"])
        return self._url

    def _watch(self, done: threading.Event) -> None:
        """Tell that it is being waited for, and in the end do not wait any more."""
        for seconds in range(NEWS_SECONDS, START_SECONDS, NEWS_SECONDS):
            if done.wait(NEWS_SECONDS):
                return
            logger.warning("Prefect's local server is still starting, after %d s", seconds)
        if not done.wait(NEWS_SECONDS):
            self._process.kill()

    def _last_words(self) -> str:
        """Why the server ended: the last exception that it named, else its last line."""
        if self._process.wait() == -signal.SIGKILL:
            return f"it was killed, or did not answer within {START_SECONDS} s"
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        named = [line for line in lines if re.match(r"[\w.]+(Error|Exception): ", line)]
        return (named or lines or [f"it ended with code {self._process.returncode} and said nothing"])[-1].strip()

    def stop(self) -> None:
        """End the server. Prefect's own threads have delivered their last logs and events by then."""
        atexit.unregister(self.stop)
        if self._url is None:
            self._process.kill()  # it has nothing to end in order
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()
        try:
            self._process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
