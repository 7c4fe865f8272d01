"""Python that needs Keras, in processes forked from one that has imported it: the import takes longer than their work.

What is forked is a process of its own: it has its own arguments, output, limits and signals, and ends as Python ends.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.support import ROOT

FORKS = r"""
import gc, json, os, sys
import mnist_pipeline.training.fit  # first: Pydantic looks into every module while it makes a class, and so loads it
from mnist_pipeline.keras_backend import load_keras
load_keras()
gc.freeze()
for line in sys.stdin:
    wanted = json.loads(line)
    if not (child := os.fork()):
        break
    print("began", child, flush=True)
    print("ended", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
else:
    sys.exit()
os.environ.update(wanted["environment"])
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
for number, name in ((1, "out"), (2, "err")):
    os.dup2(os.open(wanted[name], os.O_WRONLY), number)
sys.argv = ["-c", *wanted["arguments"]]
exec(wanted["code"], {"__name__": "__main__"})
"""


class Fork:
    """A running process.

    Attributes:
        stdout: what it writes, while it writes it.
    """

    def __init__(self, pid: int, stdout: IO[str], errors: Path, told: IO[str]) -> None:
        self.stdout = stdout
        self._pid, self._errors, self._told = pid, errors, told

    def send_signal(self, signal: int) -> None:
        os.kill(self._pid, signal)

    def end(self) -> tuple[int, str, str]:
        """Wait for it: exit code, what was left of its standard output, and all of its standard error."""
        with self.stdout:
            rest = self.stdout.read()
        return _read(self._told, "ended"), rest, self._errors.read_text()


class KerasForks:
    """The process that forks, one process at a time.

    Attributes:
        errors: what importing Keras said on standard error.
    """

    def __init__(self, process: "subprocess.Popen[str]", folder: Path) -> None:
        self.errors = folder / "errors"
        self._process, self._folder = process, folder

    def start(self, code: str, *arguments: object, environment: Mapping[str, str] | None = None) -> Fork:
        """Begin what ``python -c`` would run with these arguments, and changes of the environment."""
        assert self._process.stdin
        assert self._process.stdout
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        out, err = folder / "out", folder / "err"
        os.mkfifo(out)
        err.touch()
        wanted = {"code": code, "arguments": [*map(str, arguments)], "out": str(out), "err": str(err)}
        self._process.stdin.write(json.dumps(wanted | {"environment": dict(environment or {})}) + "\n")
        self._process.stdin.flush()
        pid = _read(self._process.stdout, "began")
        return Fork(pid, out.open(), err, self._process.stdout)


def _read(told: IO[str], word: str) -> int:
    """The next number of this kind; of a process that a test did not wait for, another kind may come first."""
    return next(int(line.split()[1]) for line in told if line.startswith(word))


@contextmanager
def keras_forks(folder: Path) -> Iterator[KerasForks]:
    """Processes whose hashes are seeded otherwise than those of this one."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    with (folder / "errors").open("w") as errors:
        command = [sys.executable, "-c", FORKS]
        process = subprocess.Popen(command, stderr=errors, env=kept | {"PYTHONHASHSEED": "12345"}, **pipes)
    yield KerasForks(process, folder)
    process.communicate()
