"""Jobs that are killed or interrupted anywhere go on to the very output of an undisturbed one."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mnist_pipeline.errors import DataError, PipelineError, UsageError
from mnist_pipeline.files import sha256_file
from mnist_pipeline.rejection.model import ScoringModel
from mnist_pipeline.scoring.config import ScoreConfig
from mnist_pipeline.scoring.engine import Work, finish, plan, score
from mnist_pipeline.scoring.job import ScoringJob
from mnist_pipeline.scoring.outputs import Outputs
from mnist_pipeline.scoring.results import read_results
from mnist_pipeline.scoring.score import score_folder
from mnist_pipeline.scoring.shards import ShardRange, split
from mnist_pipeline.scoring.sources.reading import Location
from mnist_pipeline.scoring.summary import ScoreSummary
from mnist_pipeline.scoring.workers.shared import SharedPools
from tests.support.digit_scoring import Model
from tests.support.images import png

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")

CONFIG = ScoreConfig(workers=2, shard_images=16, probabilities=True, min_confidence=0)
JOB = """
import sys
from pathlib import Path
from mnist_pipeline.scoring.config import ScoreConfig
from mnist_pipeline.scoring.score import score_folder
config, folder, output, model, sha256 = sys.argv[1:]
score_folder(ScoreConfig.model_validate_json(config), Path(folder), Path(output), Path(model), sha256)
"""
CLI = "from mnist_pipeline.__main__ import main; main()"
ENOUGH = 120


def run(folder: Path, output: Path, model: Model, config: ScoreConfig = CONFIG) -> ScoreSummary:
    return score_folder(config, folder, output, model.path, model.sha256)


def start(folder: Path, output: Path, model: Model) -> "subprocess.Popen[bytes]":
    arguments = [CONFIG.model_dump_json(), str(folder), str(output), str(model.path), model.sha256]
    return subprocess.Popen([sys.executable, "-c", JOB, *arguments], stderr=subprocess.PIPE)


@pytest.fixture(scope="module")
def pools() -> Iterator[SharedPools]:
    with closing(SharedPools()) as found:
        yield found


def wait_until(condition: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    """Until it holds, or the process has ended."""
    deadline = time.monotonic() + ENOUGH
    while not condition() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.002)


def parts(output: Path) -> dict[Path, tuple[int, int]]:
    """What has been scored so far; when and as which file."""
    found = {}
    for path in Outputs(output).results.glob("*.rows"):
        status = path.stat()
        found[path] = (status.st_ino, status.st_mtime_ns)
    return found


def multiplied(folder: Path, times: int) -> Path:
    """The folder with so many hard links of every file in it."""
    for path in sorted(folder.rglob("*.png")):
        for number in range(1, times):
            path.with_name(f"{path.stem}-{number}.png").hardlink_to(path)
    return folder


def test_a_job_that_is_killed_again_and_again_gives_the_output_of_an_undisturbed_one(model, make_folder, tmp_path):
    folder = make_folder(600)
    (folder / "broken.png").write_bytes(b"no image")
    clean = tmp_path / "clean.csv"
    run(folder, clean, model)
    output = tmp_path / "out.csv"
    chance = random.Random(5)
    kept: dict[Path, tuple[int, int]] = {}
    for _ in range(3):
        process = start(folder, output, model)
        wanted = min(len(kept) + chance.randint(1, 6), 25)
        wait_until(lambda wanted=wanted: len(parts(output)) >= wanted, process)
        process.kill()
        process.communicate()
        assert not output.exists()
        now = parts(output)
        assert kept.items() <= now.items(), "a shard was scored twice"
        kept = now
    assert kept
    images = sum(len(part.names) for path in kept if (part := read_results(path)) is not None)
    summary = run(folder, output, model, CONFIG.model_copy(update={"resume": True}))
    assert output.read_bytes() == clean.read_bytes()
    assert (summary.images, summary.errors) == (601, 1)
    assert summary.reused >= images
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "clean.csv", "clean.csv.manifest.json", "images", "out.csv", "out.csv.manifest.json",
    ]  # fmt: skip


def test_an_interrupted_job_ends_within_seconds_without_a_trace_and_goes_on_later(model, make_folder, tmp_path):
    folder = multiplied(make_folder(600), 10)
    output = tmp_path / "out.csv"
    command = [sys.executable, "-c", CLI, "score", str(folder), "--output", str(output)]
    command += ["--model", str(model.path), "--workers", "2", "--min-confidence", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    wait_until(lambda: len(parts(output)) >= 1, process)
    process.send_signal(signal.SIGINT)
    interrupted = time.monotonic()
    _, said = process.communicate(timeout=ENOUGH)
    assert time.monotonic() - interrupted < 30
    assert process.returncode == 130
    assert b"Traceback" not in said
    assert b"interrupted" in said
    assert not output.exists()
    kept = parts(output)
    assert kept
    subprocess.run(command, check=True, capture_output=True)
    run(folder, tmp_path / "clean.csv", model, ScoreConfig(workers=1, min_confidence=0))
    assert output.read_bytes() == (tmp_path / "clean.csv").read_bytes()


@pytest.mark.parametrize("flag", ["", "resume", "overwrite"])
def test_what_an_interrupted_job_has_scored_is_taken_over_unless_it_is_to_start_anew(
    model, make_folder, tmp_path, flag
):
    folder, output = make_folder(300), tmp_path / "out.csv"
    process = start(folder, output, model)
    wait_until(lambda: len(parts(output)) >= 4, process)
    process.kill()
    process.communicate()
    kept = sum(len(part.names) for path in parts(output) if (part := read_results(path)) is not None)
    summary = run(folder, output, model, CONFIG.model_copy(update={flag: True} if flag else {}))
    assert summary.images == 300
    if flag == "overwrite":
        assert summary.reused == 0
    else:
        assert summary.reused >= kept > 0
    run(folder, tmp_path / "clean.csv", model)
    assert output.read_bytes() == (tmp_path / "clean.csv").read_bytes()


def test_a_job_that_was_to_start_anew_says_how_it_goes_on_when_it_is_interrupted(model, make_folder, tmp_path):
    folder, output = multiplied(make_folder(600), 10), tmp_path / "out.csv"
    output.write_text("old")
    command = [sys.executable, "-c", CLI, "score", str(folder), "--output", str(output), "--model", str(model.path)]
    process = subprocess.Popen([*command, "--overwrite", "-q"], stderr=subprocess.PIPE, text=True)
    wait_until(lambda: len(parts(output)) >= 1, process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=ENOUGH)
    assert process.returncode == 130
    assert said == "error: interrupted; with --resume in the place of --overwrite it goes on from here\n"
    assert output.read_text() == "old"
    done = subprocess.run([*command, "--resume"], check=True, capture_output=True, text=True)
    assert " of them taken over from an earlier job" in done.stdout


def descendants(pid: int) -> list[int]:
    """The process's children, and theirs; the nearest first."""
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return children + [later for child in children for later in descendants(child)]


lists_children = pytest.mark.skipif(
    not Path(f"/proc/self/task/{os.getpid()}/children").exists(), reason="the kernel does not list children"
)


@lists_children
def test_no_worker_outlives_a_killed_job(model, make_folder, tmp_path):
    process = start(multiplied(make_folder(300), 5), tmp_path / "out.csv", model)
    wait_until(lambda: len(parts(tmp_path / "out.csv")) >= 1, process)
    workers = [Path("/proc", str(pid)) for pid in descendants(process.pid)]
    assert len(workers) >= 2
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 10
    while any(worker.exists() for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@lists_children
def test_workers_that_are_killed_from_outside_cost_no_row(model, make_folder, tmp_path):
    folder = multiplied(make_folder(600), 3)
    output = tmp_path / "out.csv"
    process = start(folder, output, model)
    for wanted in (1, 10, 25):
        wait_until(lambda wanted=wanted: len(parts(output)) >= wanted, process)
        os.kill(descendants(process.pid)[-1], signal.SIGKILL)  # the youngest
    _, said = process.communicate(timeout=ENOUGH)
    assert process.returncode == 0, said
    run(folder, tmp_path / "clean.csv", model)
    assert output.read_bytes() == (tmp_path / "clean.csv").read_bytes()


def test_only_what_changed_is_scored_again(model, make_folder, tmp_path):
    folder = make_folder(400)
    output = tmp_path / "out.csv"
    process = start(folder, output, model)
    wait_until(lambda: len(parts(output)) >= 12, process)
    process.kill()
    process.communicate()
    images = {path: len(part.names) for path in parts(output) if (part := read_results(path)) is not None}
    victim = next(path for path in images)
    part = read_results(victim)
    assert part
    (folder / os.fsdecode(part.names[3])).write_bytes(png(np.eye(28, dtype=np.uint8)))
    damaged = next(path for path in images if path != victim)
    damaged.write_bytes(damaged.read_bytes()[:-1])
    summary = run(folder, output, model)
    again = images[victim] + images[damaged]
    # Workers may have stored the shards that they were at after their parent was gone.
    assert sum(images.values()) - again <= summary.reused <= 400 - again
    run(folder, tmp_path / "clean.csv", model)
    assert output.read_bytes() == (tmp_path / "clean.csv").read_bytes()


def test_resume_leaves_a_complete_output_alone_and_brings_an_old_one_up_to_date(model, make_folder, tmp_path):
    folder = make_folder(20)
    output = tmp_path / "out.csv"
    first = run(folder, output, model)
    before = output.stat().st_mtime_ns
    resume = CONFIG.model_copy(update={"resume": True})
    assert run(folder, output, model, resume) == first
    assert output.stat().st_mtime_ns == before
    shutil.copy(next(folder.rglob("*.png")), folder / "new.png")
    assert run(folder, output, model, resume).images == 21
    (folder / "new.png").write_bytes(png(np.eye(28, dtype=np.uint8)))
    assert run(folder, output, model, resume).reused == 0
    run(folder, tmp_path / "clean.csv", model)
    assert output.read_bytes() == (tmp_path / "clean.csv").read_bytes()
    with pytest.raises(UsageError, match="exists"):
        run(folder, output, model)


def test_two_jobs_do_not_write_one_output(model, make_folder, tmp_path):
    folder = make_folder(600)
    output = tmp_path / "out.csv"
    process = start(folder, output, model)
    wait_until(lambda: len(parts(output)) >= 1, process)
    with pytest.raises(PipelineError, match="another job is writing"):
        run(folder, output, model)
    assert process.wait(timeout=ENOUGH) == 0
    process.communicate()


def job_of(folder: Path, output: Path, scoring_model: ScoringModel) -> ScoringJob:
    return ScoringJob.of(CONFIG, Location(kind="folder", root=str(folder)), scoring_model, output)


def score_range(job: ScoringJob, shards: ShardRange, pools: SharedPools) -> Work:
    with pools.pool(job, 1) as pool:
        return score(job, shards, pool)


def test_ranges_of_shards_scored_one_by_one_anywhere_join_to_the_same_output(model, make_folder, tmp_path, pools):
    folder = make_folder(160)
    clean, output = tmp_path / "clean.csv", tmp_path / "out.csv"
    run(folder, clean, model)
    job = job_of(folder, output, ScoringModel(model.path, model.sha256))
    planned = plan(job)
    ranges = split(job.outputs, planned.shards, 30)
    assert len(ranges) > 2
    assert planned.shards.images == sum(shards.images for shards in ranges) == 160
    assert all(shards.count > 1 for shards in ranges[:-1])
    assert [score_range(job, shards, pools).reused for shards in reversed(ranges[1:])] == [0] * (len(ranges) - 1)
    with pools.pool(job, 1) as pool:
        with pytest.raises(DataError, match="missing"):
            finish(job, planned, Work(), pool)
        assert not output.exists()
        stored = parts(output)
        again = [score_range(job, shards, pools) for shards in ranges]
        assert [work.reused for work in again] == [0, *(shards.images for shards in ranges[1:])]
        assert stored.items() <= parts(output).items(), "a shard was scored twice"
        summary = finish(job, planned, sum(again, Work()), pool)
    assert output.read_bytes() == clean.read_bytes()
    assert summary.output_sha256 == sha256_file(clean)
    assert (summary.reused, summary.workers) == (160 - ranges[0].images, 1)


@pytest.mark.parametrize("gone", ["images", "model"])
def test_a_machine_that_does_not_see_the_images_or_the_model_says_so_and_makes_no_row(
    model, make_folder, tmp_path, pools, gone
):
    folder = make_folder(20)
    elsewhere = shutil.copy(model.path, tmp_path / "model.onnx")
    job = job_of(folder, tmp_path / "out.csv", ScoringModel(elsewhere, model.sha256))
    planned = plan(job)
    lost = folder if gone == "images" else elsewhere
    lost.rename(tmp_path / "lost")
    with pytest.raises(PipelineError, match=f"{lost} is not there on .*the same paths on every worker"):
        score_range(job, planned.shards, pools)
    assert not parts(tmp_path / "out.csv")


def test_a_machine_with_another_version_says_so_and_makes_no_row(model, make_folder, tmp_path, pools):
    job = job_of(make_folder(20), tmp_path / "out.csv", ScoringModel(model.path, model.sha256))
    older = replace(job, preprocessing_version="1-000000000000")
    planned = plan(older)
    with pytest.raises(
        PipelineError, match="another version of mnist-pipeline, onnxruntime, onnx, OpenCV, Pillow or NumPy"
    ):
        score_range(older, planned.shards, pools)
    assert not parts(job.outputs.output)


def test_a_full_disk_is_one_clear_line_and_what_was_scored_is_kept(model, make_folder, tmp_path):
    """With a limit on the size of files in the place of a small disk: both are errors of the same write."""
    folder = make_folder(200)
    output = tmp_path / "out.csv"
    job = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000))\n"
    job += "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n" + JOB
    arguments = [CONFIG.model_dump_json(), str(folder), str(output), str(model.path), model.sha256]
    done = subprocess.run([sys.executable, "-c", job, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "PipelineError" in done.stderr
    assert "File too large; make room" in done.stderr
    assert not output.exists()
    run(folder, output, model)
    run(folder, tmp_path / "clean.csv", model)
    assert output.read_bytes() == (tmp_path / "clean.csv").read_bytes()
