"""The command line in processes that are forked from one that has imported what they need already.

Imports take longer than most of what a command is tested for. What is forked is a process of its own as any
command is: it reads its own environment and arguments, has its own standard streams, and ends through the interpreter's
own end.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

LIGHT = "import mnist_pipeline.cli.app, mnist_pipeline.registry, mnist_pipeline.steps, onnxruntime, rich.table"
"""What commands need that neither train nor run a flow."""
ALL = """
from flows.connection import prepare_environment
prepare_environment()
import flows.scoring, flows.training
import matplotlib.backends.backend_agg, matplotlib.backends.backend_svg, matplotlib.figure
import mnist_pipeline.registry, mnist_pipeline.steps
from mnist_pipeline.export.backend import load_tf2onnx
from mnist_pipeline.keras_backend import load_keras
load_keras(), load_tf2onnx()
"""
FORKS = r"""
import atexit, gc, json, os, sys, threading
exec(sys.argv[1])
from mnist_pipeline.__main__ import main
gc.freeze()
for line in sys.stdin:
    wanted = json.loads(line)
    if not (child := os.fork()):
        break
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
else:
    sys.exit()
os.chdir(wanted["folder"])
os.environ.clear()
os.environ.update(wanted["environment"])
files = [name and os.open(name, os.O_RDWR | os.O_CREAT) for name in wanted["streams"]]
for number, (name, file) in enumerate(zip(("stdin", "stdout", "stderr"), files)):
    if file is None:
        os.close(number)
    else:
        os.dup2(file, number)
        os.close(file)
    encoding = getattr(sys, name).encoding
    setattr(sys, name, file and open(number, "w" if number else "r", encoding=encoding, closefd=False))
sys.argv = ["mnist-pipeline", *wanted["arguments"]]
if context := sys.modules.get("prefect.context"):
    context.refresh_global_settings_context()
try:
    main()
except SystemExit as end:
    # As the interpreter ends, but that it does not clear away all that was imported, which would be copied for that.
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(end.code)
"""


class ForkedCommands:
    """The process that forks, one command at a time."""

    def __init__(self, process: "subprocess.Popen[str]", folder: Path) -> None:
        self._process = process
        self._folder = folder

    def run(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        folder: Path | None = None,
        streams: Mapping[int, str | None] = MappingProxyType({}),
    ) -> "subprocess.CompletedProcess[str]":
        """Exit code, standard output and standard error of ``mnist-pipeline``.

        Args:
            arguments: what follows the name of the command.
            environment: all of it.
            folder: where it runs; the current one by default.
            streams: number of a standard stream -> the file that it is, and whose text is not returned; None closes it.
        """
        assert self._process.stdin
        assert self._process.stdout
        out, err = (Path(tempfile.mkstemp(dir=self._folder)[1]) for _ in range(2))
        connected = {0: os.devnull, 1: str(out), 2: str(err), **streams}
        places = {"folder": str(folder or Path.cwd()), "streams": list(connected.values())}
        wanted = {"arguments": arguments, "environment": dict(environment), **places}
        self._process.stdin.write(json.dumps(wanted) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        return subprocess.CompletedProcess(["mnist-pipeline", *arguments], code, out.read_text(), err.read_text())


@contextmanager
def forked_commands(
    folder: Path, environment: Mapping[str, str], imports: str = ALL, before: Sequence[str | Path] = ()
) -> Iterator[ForkedCommands]:
    """Commands whose files of output lie in the folder.

    The environment is that of the imports; ``before`` is a command that runs the process that forks.
    """
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen([*before, sys.executable, "-P", "-c", FORKS, imports], env=dict(environment), **pipes)
    yield ForkedCommands(process, folder)
    process.communicate()
