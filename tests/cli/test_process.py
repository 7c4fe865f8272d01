"""What ends a command ends it, whatever the command is at."""

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import signal, sys, threading
from mnist_pipeline.cli.process import end_as_interrupted

class Destroyed:
    def __del__(self):
        signal.raise_signal(int(sys.argv[1]))

end_as_interrupted()
try:
    Destroyed()
    threading.Event().wait(60)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals that reach a process")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT], ids=lambda number: number.name)
def test_a_signal_that_arrives_in_a_destructor_is_not_lost(number):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(int(number))], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")


DROPPED = """
import signal, sys
from mnist_pipeline.cli.process import end_as_interrupted
from mnist_pipeline.cli.terminal import Terminal
from mnist_pipeline.progress import Progress

end_as_interrupted()
with Terminal(quiet=sys.argv[2] == "quiet").progress() as report:
    report(Progress("train", 1, 3, "batches"))
    try:
        signal.raise_signal(int(sys.argv[1]))
    except KeyboardInterrupt:
        pass  # as native code does
    try:
        report(Progress("train", 2, 3, "batches"))
    except KeyboardInterrupt:
        print("interrupted")
    report(Progress("train", 3, 3, "batches"))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals that reach a process")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT], ids=lambda number: number.name)
@pytest.mark.parametrize("how", ["loud", "quiet"])
def test_work_that_goes_on_although_it_was_told_to_end_is_interrupted_once_more(number, how):
    words = [sys.executable, "-c", DROPPED, str(int(number)), how]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr
