"""Batch scoring as a flow, on one machine and on a Dask cluster: always the bytes of the plain command."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnist_pipeline.data.digits import load_embedded_digits
from mnist_pipeline.files import sha256_file, write_bytes
from mnist_pipeline.inference import ModelMetadata
from mnist_pipeline.rejection.model import ScoringModel
from mnist_pipeline.scoring.config import ScoreConfig
from mnist_pipeline.scoring.job import ScoringJob
from mnist_pipeline.scoring.outputs import Outputs
from mnist_pipeline.scoring.results import read_results
from mnist_pipeline.scoring.score import score_job
from mnist_pipeline.scoring.sources.reading import Location
from mnist_pipeline.scoring.summary import ScoreSummary
from tests.support import linear_models

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")

ENOUGH = 180
NAMES = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
CONFIG = {"workers": 2, "shard_images": 16, "probabilities": True, "min_confidence": 0.3}
AGAIN = CONFIG | {"resume": True}
RUNNER = """
import json, sys
from flows.connection import prepare_environment
prepare_environment()
from flows.scoring import score_folder
from mnist_pipeline.errors import PipelineError
for line in sys.stdin:
    try:
        answer = {"summary": score_folder(**json.loads(line)).model_dump(mode="json")}
    except PipelineError as error:
        answer = {"error": str(error)}
    print("answer", json.dumps(answer), flush=True)
"""


@dataclass
class Runner:
    """A process that runs the flow, as often as it is told: Prefect is loaded once."""

    process: "subprocess.Popen[str]"

    def begin(self, **parameters: object) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(parameters) + "\n")
        self.process.stdin.flush()

    def end(self) -> dict:
        assert self.process.stdout
        for line in self.process.stdout:
            if line.startswith("answer "):
                return json.loads(line.removeprefix("answer "))
        raise AssertionError("the process has ended")

    def __call__(self, **parameters: object) -> ScoreSummary:
        self.begin(**parameters)
        answer = self.end()
        assert "summary" in answer, answer
        return ScoreSummary.model_validate(answer["summary"])

    def fail(self, **parameters: object) -> str:
        self.begin(**parameters)
        return self.end()["error"]

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


def start_runner(environment: dict[str, str]) -> Runner:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return Runner(subprocess.Popen([sys.executable, "-c", RUNNER], env=environment, **pipes))


@pytest.fixture(scope="module")
def run(prefect) -> Iterator[Runner]:
    runner = start_runner(prefect.environment)
    yield runner
    runner.kill()


@dataclass
class Cluster:
    """A Dask scheduler and its workers, each a process."""

    address: str
    scheduler_file: Path
    environment: dict[str, str]
    scheduler: "subprocess.Popen[bytes]"
    workers: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def start_worker(self, nanny: str = "--no-nanny") -> None:
        """With a nanny, the default of Dask, it is a daemonic child of the process that is started."""
        log = self.scheduler_file.with_name(f"worker-{len(self.workers)}.log")
        command = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(self.scheduler_file)]
        command += ["--host", "127.0.0.1", "--no-dashboard", nanny, "--nthreads", "1"]
        command += ["--local-directory", str(log.parent), "--preload", "flows.scoring_task"]
        with log.open("wb") as file:
            # A group of its own: what the worker starts can be stopped together with it.
            worker = subprocess.Popen(command, env=self.environment, stdout=file, stderr=file, start_new_session=True)
        self.workers.append(worker)
        wait_until(lambda: b"Registered to" in log.read_bytes(), worker)


@contextmanager
def start_cluster(
    folder: Path, environment: dict[str, str], workers: int, nanny: str = "--no-nanny"
) -> Iterator[Cluster]:
    pytest.importorskip("prefect_dask")
    file = folder / "scheduler.json"
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    command += ["--no-dashboard", "--scheduler-file", str(file)]
    with (folder / "scheduler.log").open("wb") as log:
        scheduler = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    wait_until(lambda: file.exists() and bool(file.read_bytes()), scheduler)
    found = Cluster(json.loads(file.read_bytes())["address"], file, environment, scheduler)
    try:
        for _ in range(workers):
            found.start_worker(nanny)
        yield found
    finally:
        for process in (*found.workers, scheduler):
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def cluster(prefect, tmp_path_factory) -> Iterator[Cluster]:
    with start_cluster(tmp_path_factory.mktemp("dask"), prefect.environment, 2, "--nanny") as found:
        yield found


def wait_until(condition: Callable[[], bool], process: "subprocess.Popen") -> None:
    deadline = time.monotonic() + ENOUGH
    while not condition():
        assert process.poll() is None, "the process has ended"
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> ScoringModel:
    images, labels = load_embedded_digits()
    metadata = ModelMetadata(
        class_names=NAMES, dataset="digits", dataset_digest="0" * 64, run_id="r", preset="linear", frameworks={}
    )
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    write_bytes(path, linear_models.onnx_bytes(linear_models.fit(images, labels, 60), metadata))
    return ScoringModel(path, sha256_file(path))


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """600 images, every fourth of them of a size that takes time, and three that are none."""
    folder = tmp_path_factory.mktemp("made")
    for number, image in enumerate(load_embedded_digits()[0][:600]):
        path = folder / f"{number % 7}" / f"{number:04d}.png"
        path.parent.mkdir(exist_ok=True)
        picture = Image.fromarray(255 - image).resize((200, 200)) if number % 4 == 0 else Image.fromarray(image)
        picture.save(path)
    (folder / "3" / "cut.png").write_bytes((folder / "0" / "0000.png").read_bytes()[:200])
    (folder / "3" / "notes.txt").write_text("no image")
    (folder / "empty.png").write_bytes(b"")
    return folder


@pytest.fixture
def folder(made, tmp_path) -> Path:
    """A copy that a test may change."""
    return shutil.copytree(made, tmp_path / "images")


@pytest.fixture(scope="module")
def clean(made, model, tmp_path_factory) -> Callable[[str], bytes]:
    """What the plain command writes for these images."""
    folder = tmp_path_factory.mktemp("clean")

    def of(name: str) -> bytes:
        output = folder / name
        if not output.exists():
            plain(made, output, model)
        return output.read_bytes()

    return of


def plain(folder: Path, output: Path, model: ScoringModel) -> ScoreSummary:
    location = Location(kind="folder", root=str(folder))
    return score_job(ScoringJob.of(ScoreConfig.model_validate(CONFIG), location, model, output))


def parameters(folder: Path | str, output: Path, scoring_model: ScoringModel, **more: object) -> dict:
    wanted = {"folder": str(folder), "output": str(output), "model": str(scoring_model.path), "config": AGAIN}
    return wanted | {"task_images": 256} | more


def parts(output: Path) -> dict[Path, tuple[int, int]]:
    """The shards whose rows are there; when and as which file."""
    found = {}
    for path in Outputs(output).results.glob("*.rows"):
        status = path.stat()
        found[path] = (status.st_ino, status.st_mtime_ns)
    return found


def names(paths: "dict[Path, tuple[int, int]]") -> set[bytes]:
    return {name for path in paths if (part := read_results(path)) for name in part.names}


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_the_flow_writes_the_bytes_of_the_plain_command(run, made, model, clean, tmp_path, name):
    summary = run(**parameters(made, tmp_path / name, model))
    assert (tmp_path / name).read_bytes() == clean(name)
    assert (summary.images, summary.errors, summary.reused, summary.workers) == (603, 3, 0, 2)
    assert json.loads((tmp_path / f"{name}.manifest.json").read_text()) == summary.model_dump(mode="json")


def test_prefect_shows_tasks_and_what_came_of_them(run, prefect, made, model, tmp_path):
    summary = run(**parameters(made, tmp_path / "out.csv", model))
    (flow_run,) = prefect.post("/flow_runs/filter", {"sort": "START_TIME_DESC", "limit": 1})
    assert (flow_run["state"]["type"], flow_run["parameters"]["folder"]) == ("COMPLETED", str(made))
    mine = {"flow_runs": {"id": {"any_": [flow_run["id"]]}}}
    tasks = [task["name"].partition("-")[0] for task in prefect.post("/task_runs/filter", mine)]
    assert sorted(set(tasks)) == ["find_model", "join_rows", "list_images", "score"]
    assert tasks.count("score") >= 2
    artifacts = {found["key"]: found for found in prefect.post("/artifacts/filter", mine)}
    assert set(artifacts) == {"scoring-summary", "digits-counted", "scoring-errors", "scoring-progress"}
    counted = {row["digit"]: row["images"] for row in json.loads(artifacts["digits-counted"]["data"])}
    assert counted == summary.digits
    assert sum(counted.values()) == summary.ok > 400
    errors = [row["path"] for row in json.loads(artifacts["scoring-errors"]["data"])]
    assert errors == ["3/cut.png", "3/notes.txt", "empty.png"]
    assert "| images | 603 |" in artifacts["scoring-summary"]["data"]
    assert summary.output_sha256 in artifacts["scoring-summary"]["data"]
    assert artifacts["scoring-progress"]["data"] == 100


def test_a_second_run_scores_nothing_and_a_changed_image_costs_its_shard(run, folder, model, tmp_path):
    output = tmp_path / "out.csv"
    wanted = parameters(folder, output, model)
    first = run(**wanted)
    kept, written = parts(output), output.stat().st_mtime_ns
    assert run(**wanted) == first
    assert (parts(output), output.stat().st_mtime_ns) == (kept, written)

    changed = folder / "5" / "0005.png"
    Image.fromarray(np.eye(28, dtype=np.uint8) * 255).save(changed)
    second = run(**wanted)
    now = parts(output)
    assert now.keys() == kept.keys()
    (redone,) = [path for path in now if now[path] != kept[path]]
    images = read_results(redone).names
    assert b"5/0005.png" in images
    assert second.reused == 603 - len(images)
    plain(folder, tmp_path / "clean.csv", model)
    assert output.read_bytes() == (tmp_path / "clean.csv").read_bytes()

    changed.unlink()
    third = run(**wanted)
    assert third.images == 602
    assert names(parts(output)) == {path.relative_to(folder).as_posix().encode() for path in folder.rglob("*.*")}
    leaves_nothing = run(**wanted | {"keep_shards": False, "config": CONFIG | {"overwrite": True}})
    assert (leaves_nothing.images, leaves_nothing.reused) == (602, 0)
    assert not Outputs(output).work.exists()


def test_a_strict_run_fails_once_the_output_is_there(run, made, model, clean, tmp_path):
    error = run.fail(**parameters(made, tmp_path / "out.csv", model, strict=True))
    assert error.startswith("3 images could not be scored, such as 3/cut.png: ")
    assert (tmp_path / "out.csv").read_bytes() == clean("out.csv")


def test_what_cannot_pass_by_itself_is_one_clear_line(run, made, model, tmp_path):
    output = tmp_path / "out.csv"
    assert "there is no such file" in run.fail(**parameters(made, output, model, model="missing.onnx"))
    assert "cannot be read as a folder" in run.fail(**parameters(tmp_path / "missing", output, model))
    output.write_text("mine")
    assert "--overwrite" in run.fail(**parameters(made, output, model, config=CONFIG))
    assert output.read_text() == "mine"
    damaged = tmp_path / "model.onnx"
    damaged.write_bytes(model.path.read_bytes()[:-100])
    error = run.fail(**parameters(made, tmp_path / "other.csv", model, model=str(damaged)))
    assert "\n" not in error
    assert str(damaged) in error
    assert not (tmp_path / "other.csv").exists()


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("folder", "", "non-empty"),
        ("output", "rows.txt", "does not match"),
        ("config", {"workers": 0}, "less than the minimum of 1"),
        ("config", {"speed": 1}, "'speed' was unexpected"),
        ("dask_scheduler", "host:8786", "does not match"),
        ("task_images", 10, "less than the minimum of 256"),
        ("model", None, "is not of type 'string'"),
    ],
)
def test_the_servers_schema_refuses_nonsense(field, value, reason):
    from prefect.utilities.schema_tools.validation import ValidationError, validate

    from flows.scoring import score_folder

    schema = score_folder.parameters.model_dump()
    assert all(about["description"] for about in schema["properties"].values())
    good = {"folder": "images", "output": "rows.csv", "dask_scheduler": "tcp://host:8786", "config": {}}
    validate(good, schema, raise_on_error=True)
    with pytest.raises(ValidationError, match=reason):
        validate(good | {field: value}, schema, raise_on_error=True)


def test_a_prefix_of_an_object_store_is_scored_like_a_folder(prefect, object_server, made, model, clean, tmp_path):
    from mnist_pipeline.files.object_store import ObjectFolder

    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
    place = keys | {"AWS_ENDPOINT_URL": object_server.endpoint, "AWS_ALLOW_HTTP": "true"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", object_server.endpoint)
        store = ObjectFolder("s3://bucket/flow")
        for path in made.rglob("*.*"):
            store.put(path.relative_to(made).as_posix(), path.read_bytes())
    runner = start_runner(prefect.environment | place)
    output = tmp_path / "out.csv"
    summary = runner(**parameters("s3://bucket/flow", output, model))
    assert summary.location == "prefix:s3://bucket/flow"
    assert output.read_bytes() == clean("out.csv")
    assert runner(**parameters("s3://bucket/flow", output, model)) == summary
    runner.kill()


def test_a_flow_destroys_neither_images_nor_outputs_and_says_that_there_is_no_image(run, made, model, tmp_path):
    folder, output = Path(shutil.copytree(made, tmp_path / "images")), tmp_path / "out.csv"
    image = min(folder.rglob("*.png"))
    before = image.read_bytes()
    for config in ({}, {"overwrite": True}, {"resume": True}):
        said = run.fail(**parameters(folder, output, model, config=CONFIG | config, report=str(image)))
        assert said == f"--report {image}: is one of the images in {folder}; name another file"
    assert run.fail(**parameters(folder, output, model, report=str(output))).endswith(
        "writes the same file; name another one"
    )
    assert image.read_bytes() == before
    (tmp_path / "empty").mkdir()
    said = run.fail(**parameters(tmp_path / "empty", output, model, strict=True))
    assert said == f"there is no image in {tmp_path / 'empty'}; nothing else is there either"
    assert output.read_text().count("\n") == 1


@pytest.mark.parametrize("seed", [3, 8])
def test_a_flow_that_is_killed_goes_on_to_the_same_bytes(prefect, run, made, model, clean, tmp_path, seed):
    output = tmp_path / "out.csv"
    victim = start_runner(prefect.environment)
    victim.begin(**parameters(made, output, model))
    wanted = random.Random(seed).randint(1, 25)
    wait_until(lambda: len(parts(output)) >= wanted, victim.process)
    victim.kill()
    kept = parts(output)
    assert not output.exists()
    summary = run(**parameters(made, output, model))
    assert kept.items() <= parts(output).items(), "a shard was scored twice"
    assert len(names(kept)) <= summary.reused < 603
    assert output.read_bytes() == clean("out.csv")


def test_a_flow_that_is_killed_while_dask_works_goes_on_to_the_same_bytes(
    prefect, run, cluster, made, model, clean, tmp_path
):
    output = tmp_path / "out.csv"
    wanted = parameters(made, output, model, dask_scheduler=cluster.address)
    victim = start_runner(prefect.environment)
    victim.begin(**wanted)
    wait_until(lambda: len(parts(output)) >= 3, victim.process)
    victim.kill()
    assert not output.exists()
    summary = run(**wanted)
    assert (summary.images, summary.errors) == (603, 3)
    assert output.read_bytes() == clean("out.csv")


def test_a_killed_dask_worker_costs_its_unfinished_shards_and_nothing_else(prefect, run, made, model, clean, tmp_path):
    output = tmp_path / "out.csv"
    (tmp_path / "dask").mkdir()
    with start_cluster(tmp_path / "dask", prefect.environment, 1) as own:
        (victim,) = own.workers

        def stopped_in_a_task() -> bool:
            os.killpg(victim.pid, signal.SIGSTOP)
            if len(names(parts(output))) > 20:
                return True
            os.killpg(victim.pid, signal.SIGCONT)
            return False

        run.begin(**parameters(made, output, model, dask_scheduler=own.address, task_images=301))
        wait_until(stopped_in_a_task, run.process)
        own.start_worker()
        os.killpg(victim.pid, signal.SIGKILL)
        victim.wait()
        kept = parts(output)
        assert len(names(kept)) < 301, "the task was done before its worker was stopped"
        summary = ScoreSummary.model_validate(run.end()["summary"])
    assert kept.items() <= parts(output).items(), "a shard was scored twice"
    # The other worker took over the task in its middle: what the dead one had stored was not made again.
    assert summary.reused == len(names(kept))
    assert output.read_bytes() == clean("out.csv")
    assert (summary.images, summary.errors) == (603, 3)


def test_what_a_lost_cluster_has_done_is_kept_and_one_machine_goes_on(prefect, run, made, model, clean, tmp_path):
    output = tmp_path / "out.csv"
    (tmp_path / "dask").mkdir()
    with start_cluster(tmp_path / "dask", prefect.environment, 1) as own:
        run.begin(**parameters(made, output, model, dask_scheduler=own.address))
        wait_until(lambda: len(parts(output)) >= 3, run.process)
        own.scheduler.kill()
        error = run.end()["error"]
        kept = parts(output)
    assert error == f"the Dask scheduler at {own.address} was lost; what is scored is kept: run it again with resume"
    assert run(**parameters(made, output, model)).reused >= len(names(kept)) > 0
    assert output.read_bytes() == clean("out.csv")


def test_the_command_scores_on_dask_as_it_does_without(prefect, cluster, made, model, clean, tmp_path):
    output, report = tmp_path / "out.csv", tmp_path / "report.html"
    arguments = ["score", str(made), "--output", str(output), "--model", str(model.path), "--probabilities"]
    arguments += ["--min-confidence", "0.3", "--report", str(report)]
    summary = prefect.run(*arguments, "--dask-scheduler", cluster.address)
    rows = output.read_text().splitlines()
    assert summary["images"] == 603 == len(rows) - 1
    assert summary["output_sha256"] == sha256_file(output)
    assert "data:image/png;base64" in report.read_text()
    again = prefect.run(*arguments, "--overwrite")
    assert (again["output_sha256"], again["digits"]) == (summary["output_sha256"], summary["digits"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "out.csv.manifest.json", "report.html"]


def test_a_scheduler_that_does_not_answer_is_one_clear_line(prefect, made, model, tmp_path):
    impatient = replace(prefect, environment=prefect.environment | {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "1s"})
    arguments = ["score", str(made), "--output", str(tmp_path / "out.csv"), "--model", str(model.path)]
    said = impatient.run(*arguments, "--dask-scheduler", "tcp://127.0.0.1:1", code=1)
    assert "no Dask scheduler answers at tcp://127.0.0.1:1" in said["error"]
    assert not list(tmp_path.iterdir())
    refused = prefect.run(*arguments, "--dask-scheduler", "nowhere", code=2)
    assert "dask_scheduler" in refused["error"]


def test_workers_elsewhere_need_a_server_that_they_can_reach(prefect, made, tmp_path):
    environment = {name: value for name, value in prefect.environment.items() if name != "PREFECT_API_URL"}
    arguments = ["score", str(made), "-o", str(tmp_path / "out.csv"), "--dask-scheduler", "tcp://10.0.0.1:8786"]
    assert "PREFECT_API_URL" in replace(prefect, environment=environment).run(*arguments, code=2)["error"]
