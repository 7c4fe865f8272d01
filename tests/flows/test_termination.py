"""A command that is told to end, by whoever runs containers or services, ends as Ctrl-C ends it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.flows.conftest import COMMAND, SMALL, clean_environment, wait_for_checkpoint

FIRST = ["unshare", "--pid", "--fork", "--kill-child"]
"""What follows is the first process of a namespace of process ids, as in a container."""
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="namespaces"),
    pytest.mark.skipif(
        not shutil.which("unshare") or subprocess.run([*FIRST, "true"], check=False).returncode != 0,
        reason="no namespaces of process ids here",
    ),
]


def start(command: list[str], environment: dict[str, str], **options: int) -> "subprocess.Popen[str]":
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, env=environment, **pipes | options, text=True, start_new_session=True)


def children(process: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except FileNotFoundError:
        return []


def wait_until(condition: Callable[[], object], process: "subprocess.Popen[str] | None" = None) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.02)


def has_ended(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def ended(process: "subprocess.Popen[str]") -> str:
    """What it says on standard error, once it has ended as an interrupted command does."""
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert "interrupted; the same command goes on where this one stopped" in errors
    return errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_training_that_is_the_first_process_of_a_container_ends_when_told_to(prefect, tmp_path, number):
    process = start([*FIRST, *COMMAND, "run-all", *SMALL, "--workspace", str(tmp_path)], prefect.environment)
    wait_for_checkpoint(process, tmp_path)
    os.kill(children(process.pid)[0], number)
    ended(process)
    record = json.loads(next(tmp_path.glob("runs/2*/run.json")).read_text())
    assert record["status"] == "failed"
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_scoring_that_is_the_first_process_of_a_container_ends_when_told_to(small_workspace, tmp_path, number):
    Image.new("L", (28, 28)).save(tmp_path / "blank.png")
    arguments = ["--files-from", "-", "--output", str(tmp_path / "rows.csv"), "--workspace", str(small_workspace.root)]
    process = start([*FIRST, *COMMAND, "score", *arguments], clean_environment(), stdin=subprocess.PIPE)
    assert process.stdin
    process.stdin.write(f"{tmp_path / 'blank.png'}\n")
    process.stdin.flush()  # and the list does not end
    wait_until(lambda: [child for first in children(process.pid) for child in children(first)], process)
    os.kill(children(process.pid)[0], number)
    ended(process)
    assert not (tmp_path / "rows.csv").exists()


def test_a_command_that_is_told_to_end_takes_its_starting_server_with_it(prefect, tmp_path):
    environment = {name: value for name, value in prefect.environment.items() if name != "PREFECT_API_URL"}
    arguments = ["run-all", *SMALL, "--workspace", str(tmp_path / "workspace")]
    process = start([*COMMAND, *arguments], environment | {"PREFECT_HOME": str(tmp_path / "prefect")})
    wait_until(lambda: children(process.pid), process)
    [server] = children(process.pid)
    process.terminate()
    ended(process)
    wait_until(lambda: has_ended(server))
