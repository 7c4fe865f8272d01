"""Worker processes start anywhere, disturb nobody, and leave nothing behind, however the job ends."""

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mnist_pipeline.errors import MissingExtraError, PipelineError
from mnist_pipeline.rejection.model import ScoringModel
from mnist_pipeline.scoring.config import ScoreConfig
from mnist_pipeline.scoring.engine import plan, score
from mnist_pipeline.scoring.job import ScoringJob
from mnist_pipeline.scoring.outputs import Outputs
from mnist_pipeline.scoring.score import score_folder
from mnist_pipeline.scoring.shards import split
from mnist_pipeline.scoring.sources.reading import Location
from mnist_pipeline.scoring.workers import process as worker_process
from mnist_pipeline.scoring.workers import start
from mnist_pipeline.scoring.workers.shared import SharedPools
from tests.support.digit_scoring import Model

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc and the forkserver")

CONFIG = ScoreConfig(workers=2, shard_images=16, min_confidence=0, image_seconds=600, overwrite=True)
ENOUGH = 120
SCRIPT = """
import os, sys
from pathlib import Path
from mnist_pipeline.scoring.config import ScoreConfig
from mnist_pipeline.scoring.score import score_folder
from mnist_pipeline.scoring.workers import start
start.METHOD, folder, output, model, sha256, runs = sys.argv[1:]
with open(runs, "a") as file:
    file.write("run\\n")
score_folder(ScoreConfig(workers=2, shard_images=16, min_confidence=0), Path(folder), Path(output), Path(model), sha256)
"""
COMMAND = "from mnist_pipeline.__main__ import main; main()"


def arguments(folder: Path, output: Path, model: Model) -> list[str]:
    return [str(folder), str(output), str(model.path), model.sha256]


def command(folder: Path, output: Path, model: Model) -> list[str]:
    wanted = ["score", str(folder), "--output", str(output), "--model", str(model.path), "--min-confidence", "0"]
    return [sys.executable, "-c", COMMAND, *wanted, "--workers", "2"]


def parts(output: Path) -> list[Path]:
    return list(Outputs(output).results.glob("*.rows"))


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + ENOUGH
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def children(pid: int) -> list[int]:
    """Of a process that may end meanwhile."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def descendants(pid: int) -> list[int]:
    return [later for child in children(pid) for later in (child, *descendants(child))]


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("method", [start.METHOD, "spawn"])
@pytest.mark.parametrize("how", ["a file", "-c", "standard input"])
def test_a_script_without_a_main_guard_is_not_run_again_by_workers(model, make_folder, tmp_path, how, method):
    folder, output, runs = make_folder(12), tmp_path / "out.csv", tmp_path / "runs"
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    begin = {"a file": [str(script)], "-c": ["-c", SCRIPT], "standard input": ["-"]}[how]
    done = subprocess.run(
        [sys.executable, *begin, method, *arguments(folder, output, model), str(runs)],
        input=SCRIPT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert runs.read_text() == "run\n"
    assert len(output.read_text().splitlines()) == 13


@pytest.mark.parametrize("method", [start.METHOD, "spawn"])
def test_no_process_takes_code_from_the_current_folder(model, make_folder, tmp_path, method):
    folder, output, runs = make_folder(12), tmp_path / "out.csv", tmp_path / "runs"
    (tmp_path / "tools").mkdir()
    script = tmp_path / "tools" / "script.py"
    script.write_text(SCRIPT)
    hostile = tmp_path / "hostile"
    hostile.mkdir()
    for name in ("random", "numpy", "socket", "json", "signal", "multiprocessing", "onnxruntime", "mnist_pipeline"):
        (hostile / f"{name}.py").write_text(f"open({str(tmp_path / 'touched')!r}, 'a').write({name!r} + ' ')")
    done = subprocess.run(
        [sys.executable, str(script), method, *arguments(folder, output, model), str(runs)],
        cwd=hostile,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not (tmp_path / "touched").exists()
    assert len(output.read_text().splitlines()) == 13


def test_the_callers_environment_and_main_module_are_as_they_were(model, make_folder, tmp_path):
    environment, main = dict(os.environ), dict(vars(sys.modules["__main__"]))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    score_folder(CONFIG, make_folder(20), tmp_path / "out.csv", model.path, model.sha256)
    assert dict(os.environ) == environment
    assert vars(sys.modules["__main__"]) == main
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask


HANGING = """
import time
import mnist_pipeline.imaging.decoding as decoding
import mnist_pipeline.scoring.classify as classify
original = decoding.decode
def hang(data, *more):
    if data.endswith(b"hang"): time.sleep(600)
    return original(data, *more)
classify.decode = hang
"""


TASK = """
import sys
from pathlib import Path
from mnist_pipeline.scoring.config import ScoreConfig
from mnist_pipeline.rejection.model import ScoringModel
from mnist_pipeline.scoring.engine import plan, score
from mnist_pipeline.scoring.job import ScoringJob
from mnist_pipeline.scoring.sources.reading import Location
from mnist_pipeline.scoring.workers.shared import SHARED_POOLS
_, folder, output, model, sha256, _ = sys.argv[1:]
config = ScoreConfig(workers=2, shard_images=16)
location = Location(kind="folder", root=folder)
job = ScoringJob.of(config, location, ScoringModel(Path(model), sha256), Path(output))
with SHARED_POOLS.pool(job, 2) as pool:
    score(job, plan(job).shards, pool)
"""


@pytest.fixture
def temporary() -> Iterator[Path]:
    """For temporary files of a command, with a path so short that the forkserver's socket has room in it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as found:
        yield Path(found)


@on_linux
@pytest.mark.parametrize("code", [SCRIPT, TASK], ids=["a job", "a task with shared pools"])
def test_what_is_killed_leaves_no_process_and_no_temporary_file_even_if_an_image_hangs(
    model, make_folder, tmp_path, temporary, code
):
    folder, output = make_folder(200), tmp_path / "out.csv"
    (folder / "5" / "hang.png").write_bytes(next(folder.rglob("*.png")).read_bytes() + b"hang")
    (tmp_path / "hooks").mkdir()
    (tmp_path / "hooks" / "sitecustomize.py").write_text(HANGING)
    more = {"PYTHONPATH": str(tmp_path / "hooks"), "TMPDIR": str(temporary)}
    script = [sys.executable, "-c", code, start.METHOD, *arguments(folder, output, model), str(tmp_path / "runs")]
    process = subprocess.Popen(script, env=os.environ | more)
    wait_until(lambda: len(parts(output)) >= 4)  # the other worker goes on
    wait_until(lambda: len(descendants(process.pid)) >= 4)  # forkserver, resource tracker, two workers
    started = descendants(process.pid)
    process.kill()
    process.wait()
    wait_until(lambda: not any(map(is_there, started)))
    assert list(temporary.iterdir()) == []
    assert list(Path("/dev/shm").glob(f"*-{process.pid}-*")) == []


@on_linux
def test_a_finished_job_leaves_no_process_and_no_temporary_file(model, make_folder, tmp_path, temporary):
    process = subprocess.Popen(
        command(make_folder(300), tmp_path / "out.csv", model),
        env=os.environ | {"TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    started: set[int] = set()
    while process.poll() is None:
        started |= set(descendants(process.pid))
        time.sleep(0.01)
    process.communicate()
    assert process.returncode == 0
    assert len(started) >= 3
    wait_until(lambda: not any(map(is_there, started)))
    assert list(temporary.iterdir()) == []


@on_linux
def test_ctrl_c_while_the_workers_are_being_loaded_is_one_line(model, make_folder, tmp_path):
    """The terminal sends it to every process of the command."""
    wanted = command(make_folder(5), tmp_path / "out.csv", model)
    process = subprocess.Popen(wanted, stderr=subprocess.PIPE, start_new_session=True)

    wait_until(lambda: any(b"forkserver" in command_line(child) for child in children(process.pid)))
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=ENOUGH)
    assert process.returncode == 130
    assert said.decode().splitlines() == ["error: interrupted; the same command goes on where this one stopped"]


@on_linux
@pytest.mark.parametrize("victim", ["resource_tracker", "forkserver"])
def test_a_helper_process_that_is_killed_costs_no_row(model, make_folder, tmp_path, victim):
    folder, output = make_folder(400), tmp_path / "out.csv"
    script = [sys.executable, "-c", SCRIPT, start.METHOD, *arguments(folder, output, model), str(tmp_path / "runs")]
    process = subprocess.Popen(script, stderr=subprocess.PIPE)
    wait_until(lambda: len(parts(output)) >= 1)
    helpers = children(process.pid)
    workers = [pid for pid in descendants(process.pid) if pid not in helpers]
    (found,) = [pid for pid in helpers if victim.encode() in command_line(pid)]
    os.kill(found, signal.SIGKILL)
    os.kill(workers[0], signal.SIGKILL)  # so that another one is needed
    _, said = process.communicate(timeout=ENOUGH)
    assert process.returncode == 0, said
    assert b"Traceback" not in said
    assert len(output.read_text().splitlines()) == 401


def test_where_there_is_no_place_for_the_forkservers_socket_workers_load_for_themselves(model, make_folder, tmp_path):
    deep = tmp_path / ("deep" * 30)  # a socket's path is short
    deep.mkdir()
    folder, output, runs = make_folder(12), tmp_path / "out.csv", tmp_path / "runs"
    script = [sys.executable, "-c", SCRIPT, start.METHOD, *arguments(folder, output, model), str(runs)]
    done = subprocess.run(script, env=os.environ | {"TMPDIR": str(deep)}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(output.read_text().splitlines()) == 13


IN_A_CHILD = """
import multiprocessing, sys
from pathlib import Path
from mnist_pipeline.scoring.config import ScoreConfig
from mnist_pipeline.scoring.score import score_folder

def job(output):
    folder, model, sha256 = sys.argv[1:4]
    summary = score_folder(ScoreConfig(workers=1, min_confidence=0), Path(folder), Path(output), Path(model), sha256)
    return summary.ok

if __name__ == "__main__":
    print(job(sys.argv[4]))
    with multiprocessing.get_context(sys.argv[6]).Pool(1) as pool:
        print(pool.apply(job, (sys.argv[5],)))
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_child_of_a_process_that_has_scored_scores_as_well(model, make_folder, tmp_path, method):
    """A daemonic one, as the workers of Dask and of multiprocessing's own pool are."""
    script = tmp_path / "script.py"
    script.write_text(IN_A_CHILD)
    wanted = [str(make_folder(20)), str(model.path), model.sha256, str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]
    done = subprocess.run(
        [sys.executable, str(script), *wanted, method], capture_output=True, text=True, timeout=ENOUGH, check=False
    )
    assert (done.returncode, done.stdout.split()) == (0, ["20", "20"]), done.stderr
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_with_too_few_processes_the_workers_that_could_be_started_do_the_work(
    model, make_folder, tmp_path, monkeypatch
):
    original, left = worker_process.start_process, [1]

    def start_process(*arguments):
        if not left:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        left.pop()
        return original(*arguments)

    monkeypatch.setattr(worker_process, "start_process", start_process)
    folder, output = make_folder(100), tmp_path / "out.csv"
    summary = score_folder(CONFIG, folder, output, model.path, model.sha256)
    assert (summary.ok, left) == (100, [])
    with pytest.raises(PipelineError, match="no worker process can be started: Resource temporarily unavailable"):
        score_folder(CONFIG, folder, output, model.path, model.sha256)


def test_a_disk_that_is_full_for_a_worker_is_one_clear_line(model, make_folder, tmp_path):
    """With a limit on the size of files in the place of a small disk: the rows of a shard do not fit, the names do."""
    folder, output = make_folder(100), tmp_path / "out.csv"
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
    limit += "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    script = [sys.executable, "-c", limit + SCRIPT.replace("shard_images=16", "shard_images=256"), start.METHOD]
    wanted = [*script, *arguments(folder, output, model), str(tmp_path / "runs")]
    done = subprocess.run(wanted, capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == (
        f"mnist_pipeline.errors.PipelineError: {tmp_path}: File too large; make room, "
        "and run the same with --resume: what is scored is kept"
    )


def test_an_error_survives_the_way_from_a_worker():
    error = pickle.loads(pickle.dumps(MissingExtraError("an object store", "s3")))
    assert isinstance(error, MissingExtraError)
    assert str(error) == str(MissingExtraError("an object store", "s3"))


# Pools that several tasks share


@pytest.fixture
def pools() -> Iterator[SharedPools]:
    with closing(SharedPools()) as found:
        yield found


@pytest.fixture
def job(model, make_folder, tmp_path) -> ScoringJob:
    location = Location(kind="folder", root=str(make_folder(200)))
    return ScoringJob.of(CONFIG, location, ScoringModel(model.path, model.sha256), tmp_path / "out.csv")


@on_linux
def test_a_pool_that_is_given_back_is_lent_again_with_its_workers(job, pools):
    seen, worked = [], set()
    for shards in split(job.outputs, plan(job).shards, 60):
        with pools.pool(job, 1) as pool:
            worked |= score(job, shards, pool).processes
            seen.append(pool)
    assert len(seen) >= 3
    assert all(pool is seen[0] for pool in seen)
    assert len(worked) == 1


def test_tasks_in_threads_are_not_disturbed_when_the_idle_pools_are_ended(job, pools):
    whole = plan(job).shards
    waiting, scored, failed = split(job.outputs, whole, 20), [], []

    def work() -> None:
        try:
            while waiting:
                shards = waiting.pop()
                with pools.pool(job, 1) as pool:
                    score(job, shards, pool)
                scored.append(shards.images)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        pools.close()
    assert not failed
    assert sum(scored) == 200
    assert len(parts(job.outputs.output)) == whole.count
