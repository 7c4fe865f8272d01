"""Child processes of ours: how they are started, and the environment that they get."""

import os
import sys
from pathlib import Path

from mnist_pipeline.network import loopback_without_proxy

# The folder of this package is put last, so that it is found even where it is not installed, and hides nothing.
_RUN = (
    "import runpy, sys; root, module, *arguments = sys.argv[1:]; sys.path.append(root); "
    "sys.argv = [module, *arguments]; runpy.run_module(module, run_name='__main__', alter_sys=True)"
)


def python_command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of ours as ``python -m`` does, but never one of the current folder."""
    return [sys.executable, "-P", "-c", _RUN, str(Path(__file__).parents[1]), module, *arguments]


def child_environment(**variables: str) -> dict[str, str]:
    """The environment of a child: this process's, where loopback addresses need no proxy, and the variables."""
    return os.environ | loopback_without_proxy() | variables
