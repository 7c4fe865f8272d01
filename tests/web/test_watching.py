"""A run with the page beside it."""

import os
import re
import signal
import subprocess
import sys
import time

import httpx
import pytest

from tests.support import ROOT

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")
ENOUGH = 120
SCRIPT = """
import sys
from pathlib import Path
import typer
from mnist_pipeline.cli.terminal import Terminal
from mnist_pipeline.cli.watching import watching
from mnist_pipeline.config import PipelineConfig, parse_config
from mnist_pipeline.runs.run import Run
from mnist_pipeline.workspace import Workspace

with watching(Terminal(), Path("here"), wanted=True):
    run = Run.start(Workspace(Path("here").resolve()), parse_config(PipelineConfig, {}))
    sys.stdin.readline()
    run.finish("refused", "it is worse")
    if sys.argv[1] == "refused":
        raise typer.Exit(3)
    if sys.argv[1] == "failed":
        raise ValueError
"""


@pytest.fixture
def start(tmp_path):
    """Begin a run that ends as it is told to; the process, and the page that was opened."""
    opened, browser = tmp_path / "opened", tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}.new && mv {opened}.new {opened}\n')
    browser.chmod(0o755)

    def begin(ends):
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, ends],
            cwd=tmp_path,
            env=os.environ | {"BROWSER": f"{browser} %s", "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        deadline = time.monotonic() + ENOUGH
        while not opened.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
        return process, opened.read_text().strip()

    return begin


@pytest.mark.parametrize(("ends", "code"), [("well", 0), ("refused", 1)])
def test_the_page_of_the_run_is_opened_and_goes_on_when_the_run_has_ended(start, ends, code):
    process, url = start(ends)
    with process:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/runs/[0-9T]+-[0-9a-f]{6}", url)
        assert "running</span>" in httpx.get(url, trust_env=False, timeout=60).text
        assert f"the page is {url.partition('runs/')[0]};" in process.stderr.readline()
        process.stdin.write("\n")
        process.stdin.flush()
        while "goes on until Ctrl-C" not in (line := process.stderr.readline()):
            assert line
        assert "it is worse" in httpx.get(url, trust_env=False, timeout=60).text
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(ENOUGH) == code
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False)


def test_a_run_that_fails_ends_the_page_with_it(start):
    process, url = start("failed")
    with process:
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.wait(ENOUGH) == 1
        assert process.stderr.read().rstrip().endswith("ValueError")
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False)
