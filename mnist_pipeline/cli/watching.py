"""The page beside a run."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import typer

from mnist_pipeline.cli.terminal import Terminal
from mnist_pipeline.errors import PipelineError
from mnist_pipeline.workspace import Workspace

INTERVAL = 0.2
"""Seconds between looks for the run that begins."""


@contextmanager
def watching(terminal: Terminal, workspace: Path, registry: str | None = None, *, wanted: bool) -> Iterator[None]:
    """A server of the workspace; the browser shows the run that begins in the block.

    When the run has ended well, the server goes on until Ctrl-C: there is something to look at, and to draw on.

    Raises:
        PipelineError: the server does not start; it has said why.
    """
    if not wanted:
        yield
        return
    place, over = Workspace(workspace.resolve()), threading.Event()
    with _server(place, registry) as (server, url):
        terminal.say(f"the page is {url}; it shows the run as soon as that begins")
        opener = threading.Thread(target=_open, args=(place, _runs(place), url, over, terminal))
        opener.start()
        try:
            yield
        except typer.Exit:  # a candidate that was refused is worth a look, too
            _go_on(terminal, server, url)
            raise
        finally:
            over.set()
            opener.join()
        _go_on(terminal, server, url)


def _go_on(terminal: Terminal, server: "subprocess.Popen[str]", url: str) -> None:
    terminal.say(f"draw a digit on {url}, which goes on until Ctrl-C")
    with suppress(KeyboardInterrupt):
        server.wait()


@contextmanager
def _server(workspace: Workspace, registry: str | None) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    from mnist_pipeline.network import loopback_without_proxy

    words = ["serve", "--workspace", str(workspace.root), "--port", "0", "--json", "--quiet"]
    words += ["--registry", registry] if registry else []
    command = [sys.executable, "-P", "-m", "mnist_pipeline", *words]  # -P: no module of the current folder
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, env=os.environ | loopback_without_proxy(), text=True
    ) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            started = json.loads(line) if line else {}
            if "url" not in started:
                raise PipelineError(f"--watch: no server: {started.get('error', 'it ended at once')}")
            yield process, started["url"]
        finally:
            process.terminate()


def _runs(workspace: Workspace) -> set[str]:
    return {path.parent.name for path in workspace.runs.glob("*/run.json")}


def _open(workspace: Workspace, before: set[str], url: str, over: threading.Event, terminal: Terminal) -> None:
    """Wait for the run, and show it."""
    while not (new := _runs(workspace) - before):
        if over.wait(INTERVAL):
            return
    address = f"{url}runs/{max(new)}"
    terminal.say(f"watch it at {address}")
    terminal.browse(address)
