"""One holder at most, whoever comes and goes; and one line where nothing can be locked."""

import errno
import os
import signal
import subprocess
import sys
import weakref

import pytest

from mnist_pipeline.errors import PipelineError
from mnist_pipeline.files.locks import HeldElsewhereError, ProcessLock, is_held

pytestmark = pytest.mark.skipif(os.name != "posix", reason="flock")

ENOUGH = 120
PROCESSES = 4
# Whoever holds the lock makes a file that nobody else may have made.
RACE = """
import os, secrets, sys
from pathlib import Path
from mnist_pipeline.files.locks import HeldElsewhereError, ProcessLock
lock, inside = ProcessLock(Path(sys.argv[1]), temporary=True), sys.argv[2]
if sys.argv[3] == "renamed":
    Path.unlink = lambda path: path.rename(f"{inside}.{secrets.token_hex(8)}")
held = 0
while held < 100:
    try:
        with lock.hold():
            os.close(os.open(inside, os.O_CREAT | os.O_EXCL))
            held += 1
            os.unlink(inside)
    except HeldElsewhereError:
        pass
"""
HOLD = """
import sys
from pathlib import Path
from mnist_pipeline.files.locks import ProcessLock
with ProcessLock(Path(sys.argv[1])).hold():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("removed", ["gone", "renamed"])
def test_processes_that_come_and_go_never_hold_a_lock_together(tmp_path, removed):
    """A network share only renames a removed file while somebody has it open."""
    command = [sys.executable, "-c", RACE, str(tmp_path / "a.lock"), str(tmp_path / "inside"), removed]
    racing = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(PROCESSES)]
    said = [process.communicate(timeout=ENOUGH)[1] for process in racing]
    assert said == [""] * PROCESSES
    assert not (tmp_path / "a.lock").exists()


@pytest.fixture
def holder(tmp_path):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "a.lock")], **pipes)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_lock_is_gone_with_its_process(tmp_path, holder):
    lock = ProcessLock(tmp_path / "a.lock")
    assert is_held(lock.path)
    with pytest.raises(HeldElsewhereError), lock.hold(0.1):
        pytest.fail("two at once")
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert not is_held(lock.path)
    with lock.hold(), lock.hold():
        assert is_held(lock.path)
    assert lock.path.exists()


def test_a_lock_that_nobody_has_any_more_waits_for_no_garbage_collector(tmp_path):
    lock = ProcessLock(tmp_path / "a.lock")
    with lock.hold():
        pass
    gone = weakref.ref(lock)
    del lock
    assert gone() is None


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_one_line(tmp_path, monkeypatch, number):
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    path = tmp_path / "a.lock"
    one_line = pytest.raises(PipelineError, match=r"a.lock cannot be locked \(.*\): its file system has no locks")
    with one_line, ProcessLock(path).hold(60):
        pytest.fail("held")
    assert not is_held(path)


def test_a_folder_that_cannot_be_made_is_an_error_of_the_system(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"file"), ProcessLock(tmp_path / "file" / "a.lock").hold():
        pytest.fail("held")
