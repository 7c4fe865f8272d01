"""A decoder that dies, hangs or takes too much memory costs its own image alone."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from mnist_pipeline.web.worker import Limits
from tests.support.images import png
from tests.support.served import served

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")


@pytest.fixture
def data(small_workspace):
    return (small_workspace.scans / "0.png").read_bytes()


def workers():
    return [child.pid for child in multiprocessing.active_children()]


def test_workers_that_are_killed_lose_no_request(small_workspace, data):
    with served(small_workspace.root, workers=2) as running, ThreadPoolExecutor(4) as clients:
        answers = []
        for _ in range(3):  # a second death at the same image would be put down to the image
            asked = [clients.submit(running.classify, data) for _ in range(30)]
            asked[10].result()
            for pid in workers():
                os.kill(pid, signal.SIGKILL)
            answers += [one.result().json() for one in asked]
        assert {answer["status"] for answer in answers} == {"ok"}
        assert len({answer["digit"] for answer in answers}) == 1


def memory(pid):
    """Resident pages; 0 of a process that has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_an_image_at_which_two_workers_died_is_said_and_the_next_one_is_answered(small_workspace, data):
    large = png(np.zeros((9_000, 9_000), np.uint8))
    with served(small_workspace.root, workers=1) as running:
        done = threading.Event()

        def kill_while_decoding():
            first = {}
            while not done.is_set():
                for pid in workers():
                    now = memory(pid)
                    if now > first.setdefault(pid, now) + 5_000:
                        with suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)

        killer = threading.Thread(target=kill_while_decoding)
        killer.start()
        try:
            response = running.classify(large)
        finally:
            done.set()
            killer.join()
        assert response.status_code == 400
        assert response.json()["error"] == "crashed: brought 2 workers down"
        assert running.classify(data).json()["status"] == "ok"


def test_an_image_at_which_a_worker_hangs_is_given_up_and_the_next_one_is_answered(small_workspace, data):
    with served(small_workspace.root, workers=1, limits=Limits(seconds=0.5)) as running:
        [pid] = workers()
        os.kill(pid, signal.SIGSTOP)
        response = running.classify(data)
        assert response.status_code == 400
        assert response.json()["error"] == "timed out: took more than 0.5 s"
        running.client.timeout = 120
        while (answer := running.classify(data).json())["reason"] == "timed out":
            pass  # a machine that is busy
        assert answer["status"] == "ok"
        assert pid not in workers()


def test_an_image_that_takes_more_memory_than_it_may_is_said(small_workspace, data):
    large = png(np.zeros((9_000, 9_000), np.uint8))
    with served(small_workspace.root, workers=1, limits=Limits(memory_megabytes=40)) as running:
        response = running.classify(large)
        assert response.status_code == 413, response.text
        assert response.json()["error"] == "too large: needs more memory than a worker may use"
        assert running.classify(data).json()["status"] == "ok"


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_the_command_says_where_it_serves_and_ends_in_order_leaving_nobody(small_workspace, data, end):
    import httpx

    words = ["serve", "--workspace", str(small_workspace.root), "--port", "0"]
    command = [sys.executable, "-m", "mnist_pipeline", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        url = process.stdout.readline().strip()
        assert httpx.post(f"{url}v1/classify", content=data, trust_env=False, timeout=60).status_code == 200
        process.send_signal(end)
        assert process.stdout.read() == ""  # every process that could write there has ended
    assert process.returncode == 0
