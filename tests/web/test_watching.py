"""A run with the page beside it."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")
ENOUGH = 300


def test_train_opens_the_page_of_its_run_which_goes_on_when_the_run_has_ended(tmp_path):
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}.new && mv {opened}.new {opened}\n')
    browser.chmod(0o755)
    words = ["train", "--watch", "--dataset", "digits", "--preset", "codelab", "--epochs", "1", "--workspace", "here"]
    with subprocess.Popen(
        [sys.executable, "-m", "mnist_pipeline", *words],
        cwd=tmp_path,
        env=os.environ | {"BROWSER": f"{browser} %s", "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        deadline = time.monotonic() + ENOUGH
        while not opened.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
        url = opened.read_text().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/runs/[0-9T]+-[0-9a-f]{6}", url)
        with httpx.stream("GET", f"{url}/events", trust_env=False, timeout=ENOUGH) as response:
            told = [line for line in response.iter_lines() if line.startswith("event: ")]
        assert told[-1] == "event: end"
        assert "event: curve" in told
        while "goes on until Ctrl-C" not in (line := process.stderr.readline()):
            assert line
        assert "finished</span>" in httpx.get(url, trust_env=False, timeout=60).text
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(ENOUGH) == 0
