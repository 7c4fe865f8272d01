"""Processes that are forked from one that has imported what they need: imports take longer than most of their work.

What is forked is a process of its own: it has its own arguments, environment, streams, limits and signals, and ends as
Python ends.
"""

import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import IO

FORKS = r"""
import gc, json, os, sys
exec(sys.argv[1])
gc.freeze()
for line in sys.stdin:
    wanted = json.loads(line)
    if not (child := os.fork()):
        break
    print("began", child, flush=True)
    print("ended", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
else:
    sys.exit()
os.chdir(wanted["folder"])
os.environ.clear()
os.environ.update(wanted["environment"])
modes = (os.O_RDONLY, os.O_WRONLY | os.O_CREAT, os.O_WRONLY | os.O_CREAT)
files = [name and os.open(name, mode) for name, mode in zip(wanted["streams"], modes)]
for number, (name, file) in enumerate(zip(("stdin", "stdout", "stderr"), files)):
    if file is None:
        os.close(number)
    else:
        os.dup2(file, number)
        os.close(file)
    encoding = getattr(sys, name).encoding
    setattr(sys, name, file and open(number, "w" if number else "r", buffering=1, encoding=encoding, closefd=False))
sys.argv = wanted["arguments"]
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


class Forks:
    """The process that forks, one process at a time.

    Attributes:
        environment: of the imports.
        errors: what the imports said on standard error.
    """

    def __init__(self, process: "subprocess.Popen[str]", folder: Path, environment: Mapping[str, str]) -> None:
        self.environment = dict(environment)
        self.errors = folder / "errors"
        self._process, self._folder = process, folder

    def start(
        self,
        code: str,
        *arguments: object,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        streams: Mapping[int, str | None] = MappingProxyType({}),
    ) -> Fork:
        """Begin what ``python -c`` would run.

        Args:
            code: to run.
            arguments: what ``sys.argv`` holds after ``-c``.
            environment: all of it; by default that of the imports.
            folder: where it runs; the current one by default.
            streams: number of a standard stream -> the file that it is, and whose text is not returned; None closes it.
        """
        assert self._process.stdin
        assert self._process.stdout
        place = Path(tempfile.mkdtemp(dir=self._folder))
        out, err = place / "out", place / "err"
        os.mkfifo(out)
        err.touch()
        connected = {0: os.devnull, 1: str(out), 2: str(err), **streams}
        wanted = {
            "code": code,
            "arguments": ["-c", *map(str, arguments)],
            "environment": self.environment if environment is None else dict(environment),
            "folder": str(folder or Path.cwd()),
            "streams": list(connected.values()),
        }
        self._process.stdin.write(json.dumps(wanted) + "\n")
        self._process.stdin.flush()
        pid = _read(self._process.stdout, "began")
        return Fork(pid, io.StringIO() if 1 in streams else out.open(), err, self._process.stdout)


def _read(told: IO[str], word: str) -> int:
    """The next number of this kind; of a process that a test did not wait for, another kind may come first."""
    return next(int(line.split()[1]) for line in told if line.startswith(word))


@contextmanager
def forking(
    folder: Path, imports: str, environment: Mapping[str, str], before: Sequence[str | Path] = ()
) -> Iterator[Forks]:
    """Start the process that forks.

    Args:
        folder: for what the processes write.
        imports: code that imports what they need.
        environment: of the imports.
        before: a command that runs it.
    """
    command = [*before, sys.executable, "-P", "-c", FORKS, imports]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": dict(environment)}
    with (folder / "errors").open("w") as errors:
        process = subprocess.Popen(command, stderr=errors, **pipes)
    yield Forks(process, folder, environment)
    process.communicate()
