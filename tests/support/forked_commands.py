"""The command line in forked processes."""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tests.support.forks import Forks, forking

LIGHT = """
import mnist_pipeline.cli.app, mnist_pipeline.registry, mnist_pipeline.steps, onnxruntime, rich.table
from mnist_pipeline.__main__ import main
"""
"""What commands need that neither train nor run a flow."""
ALL = f"""
from flows.connection import prepare_environment
prepare_environment()
import flows.scoring, flows.training
import matplotlib.backends.backend_agg, matplotlib.backends.backend_svg, matplotlib.figure
{LIGHT}
from mnist_pipeline.export.backend import load_tf2onnx
from mnist_pipeline.keras_backend import load_keras
load_keras(), load_tf2onnx()
"""
COMMAND = """
import atexit, os, sys, threading
from mnist_pipeline.__main__ import main
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


@dataclass(frozen=True)
class Commands:
    """Runs commands, one at a time."""

    forks: Forks

    def run(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        folder: Path | None = None,
        streams: Mapping[int, str | None] = MappingProxyType({}),
    ) -> "subprocess.CompletedProcess[str]":
        """What ``mnist-pipeline`` does with these arguments; the others are those of `Forks.start`."""
        process = self.forks.start(COMMAND, *arguments, environment=environment, folder=folder, streams=streams)
        return subprocess.CompletedProcess(["mnist-pipeline", *arguments], *process.end())


@contextmanager
def forked_commands(
    folder: Path, environment: Mapping[str, str], imports: str = ALL, before: Sequence[str | Path] = ()
) -> Iterator[Commands]:
    """Arguments as `forking`."""
    with forking(folder, imports, environment, before) as forks:
        yield Commands(forks)
