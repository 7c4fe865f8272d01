"""Where images come from: lists of files, an object store, the real sprite; and what a fresh process loads."""

import csv
import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnist_pipeline.config import FetchConfig
from mnist_pipeline.data.fetch import fetch_dataset
from mnist_pipeline.files.object_store import ObjectFolder
from mnist_pipeline.imaging.errors import ImageError
from mnist_pipeline.imaging.form import has_sprite_form
from mnist_pipeline.rejection.model import ScoringModel
from mnist_pipeline.reporting.scoring import render_scoring_report
from mnist_pipeline.scoring.config import ScoreConfig
from mnist_pipeline.scoring.items import Preprocessing, read_items
from mnist_pipeline.scoring.job import ScoringJob
from mnist_pipeline.scoring.score import score_job
from mnist_pipeline.scoring.sources.objects import AHEAD, ObjectReader
from mnist_pipeline.scoring.sources.reading import FileReader, Location, Signature
from mnist_pipeline.workspace import Workspace


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_list_of_files_is_scored_in_sorted_order_once_each(model, make_folder, tmp_path, digits):
    folder = make_folder(6)
    paths = sorted(folder.rglob("*.png"), reverse=True)
    relative = os.path.relpath(paths[0], tmp_path)
    lines = "\n".join([relative, *map(str, paths[1:]), str(paths[1])])
    output = tmp_path / "out.csv"
    job = ScoringJob.of(
        ScoreConfig(workers=1, min_confidence=0),
        Location(kind="list", root=str(tmp_path)),
        ScoringModel(model.path, model.sha256),
        output,
    )
    summary = score_job(job, io.BytesIO(lines.encode()))
    assert [row["path"] for row in rows_of(output)] == sorted([relative, *map(str, paths[1:])])
    assert (summary.images, summary.ok) == (6, 6)


def test_a_prefix_of_an_object_store_is_scored_like_a_folder(model, make_folder, tmp_path, object_server, monkeypatch):
    folder = make_folder(12)
    (folder / "empty.png").write_bytes(b"")

    def score(kind: str, root: str) -> bytes:
        output = tmp_path / f"{kind}.csv"
        location = Location.model_validate({"kind": kind, "root": root})
        config, scoring_model = ScoreConfig(workers=1, min_confidence=0), ScoringModel(model.path, model.sha256)
        summary = score_job(ScoringJob.of(config, location, scoring_model, output))
        assert (summary.ok, summary.errors) == (12, 1)
        return output.read_bytes()

    rows = score("folder", str(folder))
    # Workers have the variables of now, not those of when the process scored for the first time.
    monkeypatch.setenv("AWS_ENDPOINT_URL", object_server.endpoint)
    store = ObjectFolder("s3://bucket/images")
    for path in folder.rglob("*.png"):
        store.put(path.relative_to(folder).as_posix(), path.read_bytes())
    assert score("prefix", "s3://bucket/images") == rows


def test_objects_are_asked_for_ahead_and_come_in_order(object_server, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", object_server.endpoint)
    reader = ObjectReader("s3://bucket/ahead", 1_000)
    names = [f"{number}".encode() for number in range(3 * AHEAD)]
    together, passed = threading.Barrier(AHEAD), []

    def fetch(name: bytes) -> tuple[bytes, Signature]:
        if int(name) < AHEAD:
            together.wait(timeout=30)  # it goes on once so many are under way
        passed.append(int(name))
        if name == b"9":
            raise ImageError("vanished", "is not there any more")
        return name, Signature(len(name), 1)

    monkeypatch.setattr(reader, "_fetch", fetch)
    reader.expect(names)
    for number, name in enumerate(names):
        if number == 9:
            with pytest.raises(ImageError, match="not there"):
                reader.read(name)
        else:
            assert reader.read(name) == (name, Signature(len(name), 1))
        assert max(passed) <= number + AHEAD  # no further than that
    assert sorted(passed) == list(range(3 * AHEAD))


def test_large_objects_are_asked_for_one_by_one(object_server, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", object_server.endpoint)
    reader = ObjectReader("s3://bucket/ahead", 10**9)
    reader._largest = 100_000_000
    asked = []
    monkeypatch.setattr(reader, "_fetch", lambda name: asked.append(name) or (name, Signature(1, 1)))
    reader.expect([b"a", b"b", b"c"])
    reader.read(b"a")
    assert reader.read(b"b") == (b"b", Signature(1, 1))
    assert asked in ([b"a", b"b"], [b"a", b"b", b"c"])


def test_a_report_shows_what_to_check_first(model, make_folder, tmp_path):
    folder = make_folder(30)
    (folder / "<b>.png").write_bytes(b"no image")
    report = tmp_path / "report.html"
    job = ScoringJob.of(
        ScoreConfig(workers=1, min_confidence=0.3),
        Location(kind="folder", root=str(folder)),
        ScoringModel(model.path, model.sha256, "digits 1"),
        tmp_path / "out.csv",
        report,
    )
    summary = score_job(job, render_report=render_scoring_report)
    page = report.read_text()
    rows = [row for row in rows_of(tmp_path / "out.csv") if row["digit"]]
    least = sorted(rows, key=lambda row: (float(row["confidence"]), row["path"]))
    assert page.index(least[0]["path"]) < page.index(least[1]["path"]) < page.index(least[20]["path"])
    assert page.count("<img src=") == 30
    assert page.count('<img class="prepared"') == 30
    assert "&lt;b&gt;.png" in page
    assert "<b>.png" not in page
    assert "0.300 counts as no digit (--min-confidence)" in page
    assert "not an image" in page
    assert "http" not in page.replace("http-equiv", "")
    assert summary.model_version == "digits 1"


def test_a_report_shows_the_first_images_of_each_reason_that_are_no_digit(model, make_folder, tmp_path):
    folder = make_folder(3)
    for number in range(10):
        Image.new("L", (60, 60), 200).save(folder / f"page-{number}.png")
    report = tmp_path / "report.html"
    location = Location(kind="folder", root=str(folder))
    scoring_model = ScoringModel(model.path, model.sha256, "digits 1")
    job = ScoringJob.of(ScoreConfig(min_confidence=0), location, scoring_model, tmp_path / "out.csv", report)
    summary = score_job(job, render_report=render_scoring_report)
    assert summary.no_digit_reasons == {"blank": 10}
    page = report.read_text()
    assert [f"page-{number}.png" in page for number in range(10)] == [True] * 8 + [False] * 2
    assert page.count("<strong>blank</strong>") == 8
    assert page.count("<img src=") == 8 + 3


FRESH = """
import json, sys
from pathlib import Path
from mnist_pipeline.scoring.config import ScoreConfig
from mnist_pipeline.scoring.score import score_folder
score_folder(ScoreConfig(workers=1), *map(Path, sys.argv[1:4]), sys.argv[4])
import mnist_pipeline.scoring.workers.preload  # what the forkserver loads
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})), flush=True)
"""


def test_scoring_loads_no_tensorflow_keras_or_prefect(model, make_folder, tmp_path):
    arguments = [str(make_folder(1)), str(tmp_path / "out.csv"), str(model.path), model.sha256]
    done = subprocess.run([sys.executable, "-c", FRESH, *arguments], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert {"onnxruntime", "numpy", "cv2"} <= loaded
    assert not loaded & {
        "PIL",
        "tensorflow",
        "keras",
        "prefect",
        "tf2onnx",
        "matplotlib",
        "pyarrow",
        "sklearn",
        "scipy",
    }


@pytest.mark.skipif("MNIST_PIPELINE_SOURCE" not in os.environ, reason="needs the real sprite")
def test_every_image_of_the_sprite_passes_through_untouched(tmp_path):
    source = os.environ["MNIST_PIPELINE_SOURCE"]
    found = fetch_dataset(FetchConfig(dataset="mnist", source=source), Workspace(tmp_path))
    images = np.load(found.directory / "images.npy", mmap_mode="r")
    for start in range(0, len(images), 5_000):
        assert has_sprite_form(np.asarray(images[start : start + 5_000])).all()


def test_what_passes_through_is_bit_for_bit_what_the_file_holds(digits, make_folder):
    folder = make_folder(40)
    names = sorted(path.relative_to(folder).as_posix().encode() for path in folder.rglob("*.png"))
    job = Preprocessing(FileReader(str(folder), 10_000, follow_links=False), "auto", 1_000_000)
    planes = np.stack([item.plane for item in read_items(names, job, {})])
    numbers = [int(Path(name.decode()).stem) for name in names]
    assert (planes == digits.images[numbers]).all()
    assert has_sprite_form(planes).all()


@pytest.mark.parametrize(("mode", "status"), [("auto", "ok"), ("mnist", "ok"), ("resize", "ok"), ("none", "ok")])
def test_every_mode_scores_an_image_in_the_sprites_form(model, make_folder, tmp_path, mode, status):
    config = ScoreConfig.model_validate({"preprocess": mode, "workers": 1, "min_confidence": 0})
    location = Location(kind="folder", root=str(make_folder(5)))
    score_job(ScoringJob.of(config, location, ScoringModel(model.path, model.sha256), tmp_path / "out.csv"))
    assert {row["status"] for row in rows_of(tmp_path / "out.csv")} == {status}


def test_without_preprocessing_another_size_is_an_error(model, make_folder, tmp_path):
    from PIL import Image

    folder = make_folder(1)
    Image.new("L", (29, 28)).save(folder / "odd.png")
    config = ScoreConfig(preprocess="none", workers=1)
    location = Location(kind="folder", root=str(folder))
    score_job(ScoringJob.of(config, location, ScoringModel(model.path, model.sha256), tmp_path / "out.csv"))
    errors = {row["path"]: row["error"] for row in rows_of(tmp_path / "out.csv") if row["status"] == "error"}
    assert errors == {
        "odd.png": "wrong size: 29 x 28 pixels; preprocessing is switched off",
    }
