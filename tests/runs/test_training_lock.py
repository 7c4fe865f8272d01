"""One training at a time in a workspace."""

import subprocess
import sys

import pytest

from mnist_pipeline.errors import PipelineError
from mnist_pipeline.runs.training_lock import find_training, only_training
from mnist_pipeline.workspace import Workspace

HOLD = """
import sys
from pathlib import Path
from mnist_pipeline.runs.training_lock import only_training
from mnist_pipeline.workspace import Workspace
with only_training(Workspace(Path(sys.argv[1]))):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_another_training_is_named_and_a_dead_one_holds_nothing(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        named = rf"another training runs in .* \(process {holder.pid} on "
        with pytest.raises(PipelineError, match=named), only_training(Workspace(tmp_path)):
            pytest.fail("two at once")
        assert find_training(Workspace(tmp_path)).process == holder.pid
        holder.kill()
        holder.wait()
    assert find_training(Workspace(tmp_path)) is None
    with only_training(Workspace(tmp_path)):
        pass


def test_it_is_free_again_after_an_error(tmp_path):
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), only_training(Workspace(tmp_path)):
            raise ZeroDivisionError


def test_workspaces_do_not_disturb_each_other(tmp_path):
    with only_training(Workspace(tmp_path / "one")), only_training(Workspace(tmp_path / "two")):
        assert (tmp_path / "two" / ".locks" / "training.json").is_file()
