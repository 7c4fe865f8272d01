"""Deployments as an operator has them: a server, a worker, runs by hand and by schedule, and everything killed."""

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import httpx
import numpy as np
import pytest
from PIL import Image

from mnist_pipeline.data.dataset import Dataset
from tests.flows.conftest import COMMAND, SMALL, STEPS, clean_environment
from tests.support.forked_commands import Commands
from tests.support.sink import SECONDS, Sink

PREFECT = [sys.executable, "-m", "prefect", "--no-prompt"]
CONFIG = [*SMALL[:4], "--set", "training.epochs=12", "--set", "training.batch_size=32", "--device", "cpu"]
Found = TypeVar("Found")


def wait_for(look: Callable[[], Found | None], what: str, pause: float = 0.1) -> Found:
    """What ``look`` finds, as soon as it finds something."""
    deadline = time.monotonic() + SECONDS
    while not (found := look()):
        assert time.monotonic() < deadline, f"no {what} within {SECONDS:.0f} s"
        time.sleep(pause)
    return found


@dataclass
class House:
    """A Prefect server of its own, its deployments, and what they tell."""

    client: httpx.Client
    environment: dict[str, str]
    commands: Commands
    sink: Sink
    folder: Path
    processes: list[subprocess.Popen[Any]] = field(default_factory=list)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )

    def deploy(self, *options: str) -> dict[str, Any]:
        done = self.commands.run(["deploy", *CONFIG, "--json", *options], self.environment)
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout)

    def prefect(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run(*PREFECT, *arguments)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        def answered() -> httpx.Response | None:
            answer = self.client.post(path, json=body)
            return None if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE else answer  # SQLite was busy

        return wait_for(answered, "answer").raise_for_status().json()

    def trigger(self, deployment: str, **parameters: Any) -> str:
        """Create a run; its id."""
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
        return str(self.post(f"/deployments/{self.deployment(deployment)['id']}/create_flow_run", body)["id"])

    def deployment(self, name: str) -> dict[str, Any]:
        return self.client.get(f"/deployments/name/{name}").json()

    def flow_run(self, run: str) -> dict[str, Any]:
        return self.client.get(f"/flow_runs/{run}").json()

    def ended(self, run: str) -> dict[str, Any]:
        """The run, once it has ended. To ask takes the server as long as other work that it has."""
        final = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
        return wait_for(
            lambda: found if (found := self.flow_run(run))["state"]["type"] in final else None, "end of the run", 0.5
        )

    @contextmanager
    def started(self, *command: str, cwd: Path | None = None) -> Iterator[subprocess.Popen[Any]]:
        """A process in a group of its own while the block runs; its output goes into a file."""
        with (self.folder / f"{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=cwd, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        self.processes.append(process)
        try:
            yield process
        finally:
            end(process)

    def worker(self) -> Any:
        return self.started(*PREFECT, "worker", "start", "--pool", "mnist-pipeline", "--limit", "4")


def end(process: subprocess.Popen[Any], with_signal: int = signal.SIGTERM) -> None:
    if process.poll() is None:
        os.killpg(process.pid, with_signal)
        try:
            process.wait(timeout=120)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def house(commands, fresh_home, tmp_path_factory) -> Iterator[House]:
    """The server, with the deployments; no worker yet."""
    folder = tmp_path_factory.mktemp("house")
    shutil.copytree(fresh_home, folder / "prefect")
    port, sink = free_port(), Sink()
    api = f"http://127.0.0.1:{port}/api"
    settings = {
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_API_URL": api,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_ENABLED": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "DO_NOT_TRACK": "1",
        "MNIST_PIPELINE_NOTIFY_URL": sink.url,
    }
    client = httpx.Client(base_url=api, timeout=120)
    found = House(client, clean_environment() | settings, commands, sink, folder)
    with client, found.started(*PREFECT, "server", "start", "--port", str(port)):
        wait_for(lambda: _answers(client), "server", 0.5)
        found.deploy("--workspace", str(folder / "workspace"))
        # Who tells must be the block that was saved, not the environment.
        del found.environment["MNIST_PIPELINE_NOTIFY_URL"]
        yield found
    sink.close()


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/health").is_success
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="module")
def worker(house) -> Iterator[House]:
    """The house with a worker, which stays: tests that need none or their own stand above those that use it."""
    with house.worker():
        yield house


@pytest.fixture
def workspace(finished, tmp_path) -> Path:
    """A copy of the finished workspace: the deployments' configuration has been run in it."""
    return Path(shutil.copytree(finished[0], tmp_path / "workspace"))


def records(workspace: Path) -> list[dict[str, Any]]:
    """What the runs of a workspace wrote, the latest last."""
    return [json.loads(path.read_text()) for path in sorted(workspace.glob("runs/2*/run.json"))]


def has_finished(workspace: Path, before: int, steps: int) -> bool:
    """Whether a run after the first ``before`` ones has finished so many steps."""
    return any(len(one["steps"]) >= steps for one in records(workspace)[before:])


def holder(workspace: Path) -> int:
    """The process that trains in the workspace."""
    return int(json.loads((workspace / ".locks" / "training.json").read_text())["process"])


def test_deploying_again_changes_nothing_that_runs(house):
    from prefect.client.orchestration import SyncPrefectClient

    def registered() -> dict[str, str]:
        return {found["id"]: found["entrypoint"] for found in house.post("/deployments/filter", {})}

    before = registered()
    again = house.deploy("--workspace", str(house.folder / "workspace"))
    assert registered() == before
    listed = house.prefect("deployment", "ls")  # the pinned server and the pinned client understand each other
    assert listed.returncode == 0, listed.stderr[-2000:]
    assert [found["name"] for found in again["deployments"]] == [
        "run-all/manual",
        "retrain/weekly",
        "score-folder/manual",
    ]
    dates = [datetime.fromisoformat(when) for when in again["deployments"][1]["next_runs"]]
    assert [when.strftime("%a %H:%M %z") for when in dates] == ["Mon 04:00 +0000"] * 3
    assert datetime.now(UTC) < dates[0] == dates[1] - timedelta(weeks=1) == dates[2] - timedelta(weeks=2)
    automations = sorted(found["name"] for found in house.post("/automations/filter", {}))
    assert automations == ["mnist-pipeline: crash runs without a heartbeat", "mnist-pipeline: tell of crashed runs"]
    with SyncPrefectClient(str(house.client.base_url)) as client:
        named = [client.read_work_queue_by_name(name, "mnist-pipeline") for name in ("training", "scoring")]
    assert [queue.concurrency_limit for queue in named] == [1, None]


def test_the_file_names_the_dataset_where_no_option_does(house, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('[fetch]\ndataset = "digits"\n')
    try:
        arguments = ["deploy", "--config", str(file), "--workspace", str(tmp_path), "--json"]
        done = house.commands.run(arguments, house.environment)
        assert done.returncode == 0, done.stderr[-2000:]
        found = house.deployment("retrain/weekly")
    finally:
        house.deploy("--workspace", str(house.folder / "workspace"))
    assert found["parameters"]["fetch"]["dataset"] == "digits"


def test_nonsense_is_refused_by_the_server_before_anything_runs(house):
    mine = {"deployments": {"name": {"any_": ["manual"]}}}  # the server itself makes runs of what has a schedule
    count = house.post("/flow_runs/count", mine)
    refused = house.prefect("deployment", "run", "run-all/manual", "-p", 'training={"epochs": 0}')
    assert refused.returncode != 0
    said = " ".join((refused.stdout + refused.stderr).split())
    assert "training.epochs" in said
    assert "less than the minimum of 1" in said
    assert house.post("/flow_runs/count", mine) == count


def test_runs_of_a_schedule_that_nobody_started_are_one_run(house, workspace):
    """Three weeks without a worker: the first run that starts does the work of all."""
    deployment = house.deployment("retrain/weekly")["id"]
    now = datetime.now(UTC)
    first, last = str(now - timedelta(weeks=7)), str(now - timedelta(weeks=3))
    house.deploy("--workspace", str(workspace))
    window = {"start_time": first, "end_time": last, "min_runs": 3, "max_runs": 3}
    house.post(f"/deployments/{deployment}/schedule", window)
    mine = {"deployments": {"id": {"any_": [deployment]}}}
    due = {"flow_runs": {"expected_start_time": {"before_": last, "after_": first}}}

    def states() -> list[str]:
        return sorted(run["state"]["type"] for run in house.post("/flow_runs/filter", mine | due))

    assert states() == ["SCHEDULED"] * 3
    with house.worker():
        wait_for(lambda: not {"SCHEDULED", "PENDING", "RUNNING"} & set(states()), "end of the late runs", 0.5)
    assert states() == ["CANCELLED", "CANCELLED", "COMPLETED"]
    house.deploy("--workspace", str(house.folder / "workspace"))


def test_a_killed_worker_frees_its_place(house, workspace):
    """Nobody is left to say that the run is dead: the server misses its heartbeats."""
    with house.worker() as process:
        endless = {"preset": "codelab", "epochs": 9_000, "seed": 7, "device": "cpu"}
        run = house.trigger("run-all/manual", workspace=str(workspace), training=endless)
        wait_for(lambda: list(workspace.glob("runs/.checkpoints/*/*")), "checkpoint")
        os.killpg(process.pid, signal.SIGKILL)
        os.kill(holder(workspace), signal.SIGKILL)
        killed = time.monotonic()
    following = house.trigger("run-all/manual", workspace=str(workspace))
    with house.worker():
        assert house.ended(run)["state"]["type"] == "CRASHED"
        assert time.monotonic() - killed < 180
        assert house.ended(following)["state"]["type"] == "COMPLETED"
    assert house.sink.wait_for("run-all crashed", house.flow_run(run)["name"])


def test_one_process_serves_the_deployments_until_ctrl_c_wherever_it_is(house, workspace, tmp_path):
    (tmp_path / "flows.py").write_text("raise SystemExit('a module of the current folder was imported')")
    command = [*COMMAND, "deploy", "--serve", *CONFIG, "--workspace", str(workspace)]
    try:
        with house.started(*command, cwd=tmp_path) as process:
            wait_for(
                lambda: b"being served" in (house.folder / f"{len(house.processes) - 1}.log").read_bytes(), "server"
            )
            run = house.ended(house.trigger("retrain/weekly", workspace=str(workspace)))
            assert run["state"]["message"].startswith("unchanged")
            assert run["work_pool_name"] is None
            process.send_signal(signal.SIGINT)
            process.wait(timeout=120)
    finally:
        house.deploy("--workspace", str(house.folder / "workspace"))
    assert process.returncode in {0, 130}
    assert b"Traceback" not in (house.folder / f"{house.processes.index(process)}.log").read_bytes()


def test_a_failure_is_told_with_its_reason(worker, tmp_path):
    fetch = {"dataset": "mnist", "source": str(tmp_path / "nowhere")}
    run = worker.trigger("run-all/manual", workspace=str(tmp_path / "workspace"), fetch=fetch)
    assert worker.ended(run)["state"]["type"] == "FAILED"
    assert "nowhere" in worker.sink.wait_for("run-all failed")["message"]


def test_a_folder_is_scored_with_the_champion(worker, finished, workspace, tmp_path):
    test = Dataset.open(next((workspace / "datasets").glob("digits-*"))).test
    (tmp_path / "scans").mkdir()
    for row in range(30):
        Image.fromarray(test.images[row]).save(tmp_path / "scans" / f"{row:02d}.png")
    (tmp_path / "scans" / "broken.png").write_bytes(b"no image")
    parameters = {"workspace": workspace, "folder": tmp_path / "scans", "output": tmp_path / "rows.csv"}
    options = [part for name, value in parameters.items() for part in ("--param", f"{name}={value}")]
    done = worker.prefect("deployment", "run", "score-folder/manual", *options, "--watch")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    with (tmp_path / "rows.csv").open() as file:
        rows = list(csv.DictReader(file))
    answers = np.load(workspace / "runs" / finished[1]["run_id"] / "predictions.npy").argmax(axis=1)
    assert [row["status"] for row in rows[30:]] == ["error"]
    assert {row["path"]: row["digit"] for row in rows if row["status"] == "ok"}.items() <= {
        f"{row:02d}.png": str(answers[row]) for row in range(30)
    }.items()
    assert sum(row["status"] == "ok" for row in rows) >= 25


def test_the_schedule_retrains_where_something_changed_and_only_there(worker, workspace):
    before = len(records(workspace))
    worker.deploy("--workspace", str(workspace), "--cron", "* * * * *", "--timezone", "Europe/Berlin")
    try:
        latest = wait_for(lambda: [one for one in records(workspace)[before:] if one["finished"]], "scheduled run")[0]
    finally:
        worker.deploy("--workspace", str(worker.folder / "workspace"))
    assert (latest["status"], list(latest["steps"])) == ("unchanged", ["fetch"])
    forced = worker.trigger("retrain/weekly", workspace=str(workspace), force=True)
    message = worker.ended(forced)["state"]["message"]
    assert message.startswith("refused: digits")
    assert "no gain" in message
    assert worker.sink.wait_for("retrain refused", str(workspace))["message"].startswith(message)


def test_two_trainings_never_overlap(worker, workspace):
    runs = [
        worker.trigger(name, workspace=str(workspace))
        for name in ("run-all/manual", "run-all/manual", "retrain/weekly")
    ]
    ended = sorted((worker.ended(run) for run in runs), key=lambda run: run["start_time"])
    assert [run["state"]["type"] for run in ended] == ["COMPLETED"] * 3, [run["state"]["message"] for run in ended]
    for first, second in pairwise(ended):
        assert first["end_time"] <= second["start_time"]


def test_a_run_that_is_killed_at_any_step_goes_on_and_publishes_and_tells(worker, place):
    for count in range(1, len(STEPS)):
        before = len(records(place))
        run = worker.trigger("run-all/manual", workspace=str(place))
        wait_for(partial(has_finished, place, before, count), "step")
        os.kill(holder(place), signal.SIGKILL)
        assert worker.ended(run)["state"]["type"] == "CRASHED"
        assert worker.sink.wait_for("run-all crashed", worker.flow_run(run)["name"])
    finished_steps = [name for name in STEPS if any(name in one["steps"] for one in records(place))]
    assert len(finished_steps) >= len(STEPS) - 1
    done = worker.prefect("deployment", "run", "run-all/manual", "--param", f"workspace={place}", "--watch")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    record = records(place)[-1]
    assert (record["status"], list(record["steps"])) == ("promoted", STEPS)
    assert [name for name in STEPS if record["steps"][name]["reused_from"]] == finished_steps
    message = worker.sink.wait_for("run-all promoted", str(place))["message"]
    champion = json.loads((place / "models" / "digits" / "aliases.json").read_text())["champion"]
    assert f"promoted: digits {champion}, accuracy" in message
    assert f"{champion}/report.html" in message
    loggers = {record["name"] for record in worker.post("/logs/filter", {"limit": 200})}
    assert any(name.startswith("mnist_pipeline") for name in loggers)
