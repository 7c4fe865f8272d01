"""The command line in processes that are forked from one that has imported Prefect and Keras already.

Those imports take longer than most of what a command is tested for. What is forked is a process of its own as any
command is: it reads its own environment and arguments, and ends through the interpreter's own end.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

FORKS = r"""
import atexit, gc, json, os, sys, threading
from flows.connection import prepare_environment
prepare_environment()
import flows.scoring, flows.training
import matplotlib.backends.backend_agg, matplotlib.backends.backend_svg, matplotlib.figure
import mnist_pipeline.registry, mnist_pipeline.steps
from mnist_pipeline.__main__ import main
from mnist_pipeline.export.backend import load_tf2onnx
from mnist_pipeline.keras_backend import load_keras
from prefect.context import refresh_global_settings_context
load_keras(), load_tf2onnx()
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
for number, name in enumerate((os.devnull, wanted["out"], wanted["err"])):
    os.dup2(os.open(name, os.O_RDWR | os.O_CREAT), number)
sys.argv = ["mnist-pipeline", *wanted["arguments"]]
refresh_global_settings_context()
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
        self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Exit code, standard output and standard error of ``mnist-pipeline``; in the current folder by default."""
        assert self._process.stdin
        assert self._process.stdout
        out, err = (Path(tempfile.mkstemp(dir=self._folder)[1]) for _ in range(2))
        places = {"folder": str(folder or Path.cwd()), "out": str(out), "err": str(err)}
        wanted = {"arguments": arguments, "environment": dict(environment), **places}
        self._process.stdin.write(json.dumps(wanted) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        return subprocess.CompletedProcess(["mnist-pipeline", *arguments], code, out.read_text(), err.read_text())


@contextmanager
def forked_commands(folder: Path, environment: Mapping[str, str]) -> Iterator[ForkedCommands]:
    """Commands whose files of output lie in the folder. The environment is that of the imports."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-P", "-c", FORKS], env=dict(environment), **pipes)
    yield ForkedCommands(process, folder)
    process.communicate()
