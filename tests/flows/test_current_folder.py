"""Nothing of the folder that a user happens to be in is imported, by any command or by a process that one starts."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnist_pipeline.data.dataset import Dataset
from tests.flows.conftest import SMALL, clean_environment

NAMES = ("flows", "random", "json", "socket", "queue", "typer", "numpy", "tests")


@pytest.fixture
def here(tmp_path) -> Path:
    """A folder of modules, each of which ends the process that imports it."""
    folder = tmp_path / "here"
    folder.mkdir()
    for name in NAMES:
        (folder / f"{name}.py").write_text("raise SystemExit(f'{__file__} was imported')\n")
    (folder / "flows").mkdir()
    shutil.copy(folder / "flows.py", folder / "flows" / "__init__.py")
    return folder


def test_no_command_imports_what_lies_in_the_current_folder(prefect, evaluated, fresh_home, here, tmp_path):
    test = Dataset.open(next((evaluated / "datasets").glob("digits-*"))).test
    alone = clean_environment() | {"PREFECT_HOME": str(shutil.copytree(fresh_home, tmp_path / "prefect"))}
    (tmp_path / "images").mkdir()
    for row in range(3):
        Image.fromarray(np.asarray(test.images[row])).save(tmp_path / "images" / f"{row}.png")
    score = ["score", str(tmp_path / "images"), "--output", str(tmp_path / "rows.csv"), "--workers", "2"]
    for arguments in (
        # A version is published, which another process validates.
        ["run-all", *SMALL],
        score,
        ["models", "verify"],
        ["runs", "list"],
        ["report"],
        # The server is started, which run-all has not.
        ["doctor", "--dataset", "digits"],
        ["deploy", "--help"],
    ):
        command = [sys.executable, "-m", "mnist_pipeline", *arguments]
        if "--help" not in arguments:
            command += ["--workspace", str(evaluated)]
        done = subprocess.run(
            command,
            cwd=here,
            env=prefect.environment if "run-all" in arguments else alone,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "was imported" not in done.stdout + done.stderr
        assert "doctor" not in arguments or "none named; run-all starts a local one" in done.stdout
    assert len((tmp_path / "rows.csv").read_text().splitlines()) == 4
    assert not list(here.rglob("__pycache__"))
