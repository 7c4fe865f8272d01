"""`score --device gpu`, with the CPU in place of the GPU: the same rows, in large batches, by as many as have room."""

import csv
import json
from pathlib import Path

import pytest

from mnist_pipeline.inference.classifier import GPU_BATCH
from mnist_pipeline.scoring.workers import process
from tests.support import gpu_stand_in

IMAGES = 300


@pytest.fixture
def gpu(tmp_path, monkeypatch):
    """The folder in which the stand-in notes what it is asked; it has room for one process."""
    folder = tmp_path / "gpu"
    folder.mkdir()
    monkeypatch.setattr(process, "work", gpu_stand_in.work)
    monkeypatch.setenv(gpu_stand_in.FOLDER, str(folder))
    monkeypatch.setenv(gpu_stand_in.PLACES, "1")
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_rows_are_those_of_the_cpu_and_memory_is_limited_once_the_largest_batch_has_run(
    score, make_folder, tmp_path, gpu
):
    folder = make_folder(IMAGES)
    (folder / "broken.png").write_bytes(b"no image")
    options = ("--probabilities", "--output")
    told = json.loads(score.output(folder, "--device", "gpu", "--json", *options, tmp_path / "gpu.csv"))
    assert (told["provider"], told["images"], told["errors"]) == ("CUDAExecutionProvider", IMAGES + 1, 1)

    (batches,) = gpu_stand_in.asked(gpu)
    limited = batches.index("memory is limited")
    assert GPU_BATCH in batches[:limited]
    scored = batches[limited + 1 :]
    assert sum(scored) == IMAGES
    assert len(scored) <= 64 < IMAGES / 4  # a call for each shard, and not for each 32 images or for each image

    score(folder, "--device", "cpu", *options, tmp_path / "cpu.csv")
    assert rows(tmp_path / "gpu.csv") == rows(tmp_path / "cpu.csv")


def test_workers_that_find_no_room_on_the_device_are_done_without(score, make_folder, tmp_path, gpu):
    folder = make_folder(IMAGES)
    words = (folder, "--device", "gpu", "--json", "--workers", "3", "--output", tmp_path / "out.csv")
    told = json.loads(score.output(*words))
    assert (told["images"], told["errors"], told["workers"]) == (IMAGES, 0, 1)
    assert len(gpu_stand_in.asked(gpu)) == 1


def test_a_device_without_room_for_any_is_one_line(score, make_folder, tmp_path, gpu, monkeypatch):
    monkeypatch.setenv(gpu_stand_in.PLACES, "0")
    words = (make_folder(20), "--device", "gpu", "--workers", "3", "--output", tmp_path / "out.csv")
    said = score.refused(*words, code=1)
    assert said.startswith("device gpu: onnxruntime cannot use CUDA here: CUDA failure 2: out of memory")
    assert not (tmp_path / "out.csv").exists()
