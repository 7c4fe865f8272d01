"""One Prefect server for all flow tests, and the command line as a user runs it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from flows.local_server import LocalServer
from tests.support.forked_commands import Commands, forked_commands
from tests.support.shared import shared_folder

COMMAND = [sys.executable, "-P", "-m", "mnist_pipeline"]
STEPS = ["fetch", "train", "novelty", "export", "evaluate", "publish"]
SMALL = ["--dataset", "digits", "--preset", "codelab", "--epochs", "12", "--batch-size", "32", "--device", "cpu"]


@dataclass(frozen=True)
class Prefect:
    """A running server, and where commands come from: a process for each where there is none to fork."""

    api: str
    environment: dict[str, str]
    commands: Commands | None = None

    def run(self, *arguments: str, code: int = 0) -> dict:
        """Run a command with ``--json``; its object."""
        if self.commands:
            done = self.commands.run([*arguments, "--json"], self.environment)
        else:
            options = {"env": self.environment, "capture_output": True, "text": True, "timeout": 600}
            done = subprocess.run([*COMMAND, *arguments, "--json"], **options, check=False)
        assert done.returncode == code, done.stderr[-2000:]
        assert "Traceback" not in done.stderr
        return json.loads(done.stdout)

    def start(self, *arguments: str) -> subprocess.Popen:
        """Start a command in a process group of its own."""
        return subprocess.Popen(
            [*COMMAND, *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def post(self, path: str, body: dict) -> list[dict]:
        """What the API answers."""
        import httpx

        answer = httpx.post(f"{self.api}{path}", json=body, timeout=30)
        answer.raise_for_status()
        return answer.json()


def clean_environment() -> dict[str, str]:
    """The variables of this process, without those that a developer may have set for Prefect or this package."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT", "MNIST_PIPELINE"))}


@pytest.fixture(scope="session")
def commands(tmp_path_factory) -> Iterator[Commands]:
    folder = tmp_path_factory.mktemp("forked")
    with forked_commands(folder, clean_environment() | {"PREFECT_HOME": str(folder)}) as found:
        yield found


@pytest.fixture(scope="session")
def fresh_home(tmp_path_factory) -> Path:
    """A Prefect home whose database has its tables and nothing else; making them takes as long as a server's start."""

    def make(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PREFECT_HOME", str(folder / "prefect"))
            server = LocalServer()
            server.wait()
            server.stop()

    return shared_folder(tmp_path_factory, "fresh-home", make) / "prefect"


@pytest.fixture(scope="package")
def prefect(tmp_path_factory, commands, fresh_home) -> Iterator[Prefect]:
    """A server with a home of its own."""
    home = shutil.copytree(fresh_home, tmp_path_factory.mktemp("server") / "prefect")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HOME", str(home))
        server = LocalServer()
        url = server.wait()
    yield Prefect(url, clean_environment() | {"PREFECT_HOME": str(home), "PREFECT_API_URL": url}, commands)
    server.stop()


@pytest.fixture(scope="session")
def finished(fresh_home, tmp_path_factory) -> tuple[Path, dict]:
    """A workspace with one finished run of the command as users start it, and that run's summary.

    Beside the workspace is the Prefect home that knows of the run.
    """

    def make(folder: Path) -> None:
        home = shutil.copytree(fresh_home, folder / "prefect")
        command = Prefect("", clean_environment() | {"PREFECT_HOME": str(home)})
        summary = command.run("run-all", *SMALL, "--workspace", str(folder / "workspace"))
        (folder / "summary.json").write_text(json.dumps(summary))

    made = shared_folder(tmp_path_factory, "finished", make)
    return made / "workspace", json.loads((made / "summary.json").read_text())


def copy_with(finished: tuple[Path, dict], steps: list[str], workspace: Path) -> Path:
    """A workspace whose only run has failed after these steps of the finished one, and which has published nothing."""
    source, name = finished[0], finished[1]["run_id"]
    shutil.copytree(source / "datasets", workspace / "datasets")
    record = json.loads((source / "runs" / name / "run.json").read_text())
    kept = {step: record["steps"][step] for step in steps}
    run = workspace / "runs" / name
    run.mkdir(parents=True)
    for file in ("config.json", *(file for step in steps[1:] for file in kept[step]["output"]["files"])):
        shutil.copy(source / "runs" / name / file, run)
    (run / "run.json").write_text(json.dumps(record | {"status": "failed", "steps": kept}))
    return workspace


@pytest.fixture
def place(finished, tmp_path) -> Path:
    """A workspace that has the dataset and the network that knows what is no digit, and nothing else.

    That network is the same for every training on the dataset, and takes the longest.
    """
    return copy_with(finished, ["fetch", "novelty"], tmp_path / "workspace")


@pytest.fixture
def evaluated(finished, tmp_path) -> Path:
    """A workspace that has everything up to the gate, for the configuration of the finished run."""
    return copy_with(finished, STEPS[:-1], tmp_path / "workspace")


def kill(process: subprocess.Popen) -> None:
    """``kill -9``, children included."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def wait_for_checkpoint(process: subprocess.Popen, workspace: Path) -> None:
    """Return when the training has finished an epoch, and is in the next one."""
    deadline = time.monotonic() + 240
    while not list(workspace.glob("runs/.checkpoints/*/*")):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
