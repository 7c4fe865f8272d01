"""What a job writes destroys nothing: no image, no other output, and no file that is there unless that is asked for."""

import csv
import io
import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from mnist_pipeline.errors import PipelineError, UsageError
from mnist_pipeline.files import sha256_file
from mnist_pipeline.rejection.model import ScoringModel
from mnist_pipeline.scoring.config import ScoreConfig
from mnist_pipeline.scoring.job import ScoringJob
from mnist_pipeline.scoring.outputs import Outputs, claim
from mnist_pipeline.scoring.sources.reading import Location

POSIX = pytest.mark.skipif(os.name != "posix", reason="POSIX file types")
OVERWRITE, RESUME = "--overwrite", "--resume"


def everything(folder: Path) -> dict[str, bytes]:
    """Every file below the folder, and its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def job_of(tmp_path: Path, output: Path, report: Path | None = None) -> ScoringJob:
    """A job on a folder of images that need not be there."""
    source, model = Location.of(str(tmp_path / "images")), ScoringModel(tmp_path / "m.onnx", "0" * 64)
    return ScoringJob.of(ScoreConfig(), source, model, output, report)


@pytest.fixture
def images(make_folder) -> Path:
    return make_folder(4)


@pytest.fixture
def image(images) -> Path:
    return min(images.rglob("*.png"))


@pytest.mark.parametrize(
    ("way", "flags"), [("its path", []), ("a link to its folder", [OVERWRITE]), ("up and down", [RESUME])]
)
def test_an_image_is_never_written_over(score, images, image, tmp_path, flags, way):
    (tmp_path / "link").symlink_to(images)
    named = {
        "its path": image,
        "a link to its folder": tmp_path / "link" / image.relative_to(images),
        "up and down": images / ".." / images.name / image.relative_to(images),
    }[way]
    before = everything(tmp_path)
    said = score.refused(images, "-o", tmp_path / "a.csv", "--report", named, *flags)
    assert said == f"--report {named}: is one of the images in {images}; name another file"
    table = images / "table.csv"
    table.write_text("1,2,3")
    said = score.refused(images, "-o", table, *flags)
    assert said == f"--output {table}: is one of the images in {images}; name another file"
    assert everything(tmp_path) == before | {"images/table.csv": b"1,2,3"}


@pytest.mark.parametrize(
    "report", ["r.csv", "R.CSV", "link/r.csv", "r.csv.manifest.json", ".r.csv.lock", ".r.csv.scoring/page.html"]
)
def test_two_outputs_are_never_one_file(score, images, tmp_path, report):
    (tmp_path / "link").symlink_to(tmp_path)
    said = score.refused(images, "-o", tmp_path / "r.csv", "--report", tmp_path / report, OVERWRITE)
    assert said.startswith(f"--report {tmp_path / report}: ")
    assert said.endswith("; name another one")
    assert not (tmp_path / "r.csv").exists()


@POSIX
def test_two_names_of_one_file_are_one_file(score, images, tmp_path):
    (tmp_path / "a.csv").write_text("mine")
    (tmp_path / "a.html").hardlink_to(tmp_path / "a.csv")
    said = score.refused(images, "-o", tmp_path / "a.csv", "--report", tmp_path / "a.html", OVERWRITE)
    assert said == f"--report {tmp_path / 'a.html'}: --output writes the same file; name another one"
    assert (tmp_path / "a.html").read_text() == "mine"


@pytest.mark.parametrize("option", ["--output", "--report"])
def test_a_file_that_is_there_is_kept_unless_told_otherwise(score, images, tmp_path, option):
    page, table = tmp_path / "a.html", tmp_path / "a.csv"
    there = table if option == "--output" else page
    there.write_text("mine")
    wanted = [images, "-o", table, "--report", page]
    exists = f"{option} {there} exists; --overwrite replaces it, --resume brings it up to date"
    assert score.refused(*wanted) == exists
    assert score.refused(*wanted, RESUME) == (
        f"{option} {there} was not written by this command; --overwrite replaces it"
    )
    assert there.read_text() == "mine"
    score(*wanted, OVERWRITE)
    assert len(rows_of(table)) == 4
    assert "4 images" in page.read_text()
    score(*wanted, RESUME)


def test_a_manifest_of_somebody_else_is_kept(score, images, tmp_path):
    manifest = tmp_path / "a.csv.manifest.json"
    manifest.write_text("{}")
    said = score.refused(images, "-o", tmp_path / "a.csv")
    assert said.startswith(f"the manifest of --output, {manifest} exists; --overwrite")
    assert manifest.read_text() == "{}"
    score(images, "-o", tmp_path / "a.csv", OVERWRITE)
    (tmp_path / "a.csv").unlink()
    score(images, "-o", tmp_path / "a.csv")  # what is left is the manifest of an output that is gone
    assert json.loads(manifest.read_text())["output_sha256"] == sha256_file(tmp_path / "a.csv")


@pytest.mark.parametrize("flags", [[OVERWRITE], [RESUME]])
def test_outputs_among_the_images_are_no_images_and_can_be_made_again(score, images, flags):
    wanted = [images, "-o", images / "a.csv", "--report", images / "a.html"]
    score(*wanted)
    first = (images / "a.csv").read_bytes()
    (images / "new.png").write_bytes(next(images.glob("*/*.png")).read_bytes())
    score(*wanted, *flags)
    assert [row["path"] for row in rows_of(images / "a.csv")][-1] == "new.png"
    assert (images / "a.csv").read_bytes().startswith(first)


def test_a_report_of_another_output_is_made_again(score, images, tmp_path):
    score(images, "-o", tmp_path / "a.csv")
    score(images, "-o", tmp_path / "b.csv", "--probabilities", "--report", tmp_path / "page.html")
    score(images, "-o", tmp_path / "a.csv", "--report", tmp_path / "page.html", RESUME)
    assert "output a.csv" in (tmp_path / "page.html").read_text()


def test_neither_model_nor_list_is_written_over(score, model, images, tmp_path):
    own = Path(shutil.copy(model.path, tmp_path / "own.onnx"))
    listed = tmp_path / "list.csv"
    listed.write_text("\n".join(map(str, images.rglob("*.png"))))
    before = everything(tmp_path)
    said = score.refused(images, "-o", tmp_path / "a.csv", "--model", own, "--report", own, OVERWRITE)
    assert said == f"--report {own}: is the model; name another file"
    said = score.refused("--files-from", listed, "-o", listed, OVERWRITE)
    assert said == f"--output {listed}: is the list; name another file"
    assert everything(tmp_path) == before


def test_a_published_version_is_never_changed(score, model, images, tmp_path):
    version = tmp_path / "models" / "mnist" / "0123456789ab"
    version.mkdir(parents=True)
    shutil.copy(model.path, version / "model.onnx")
    (version / "manifest.json").write_text("{}")
    history = version.parent / "history.jsonl"
    history.write_text("{}")
    for output in (version / "a.csv", history):
        said = score.refused(images, "-o", output, "--model", version / "model.onnx", OVERWRITE)
        assert said.endswith(f"lies in {version.parent}, where nothing is ever changed; name another folder")
    assert everything(version.parent).keys() == {
        "0123456789ab/model.onnx", "0123456789ab/manifest.json", "history.jsonl",
    }  # fmt: skip


@POSIX
@pytest.mark.parametrize("way", ["its path", "up and down", "a link in the list"])
def test_an_output_that_the_list_names_is_refused_before_any_image_is_read(score, image, tmp_path, way):
    output = tmp_path / "a.csv"
    output.write_text("mine")
    (tmp_path / "link.png").symlink_to("a.csv")
    named = {"its path": output, "up and down": tmp_path / "images" / ".." / "a.csv"}.get(way, tmp_path / "link.png")
    (tmp_path / "list").write_text(f"{image}\n{named}\n")
    said = score.refused("--files-from", tmp_path / "list", "-o", output, OVERWRITE, "-q")
    assert said.startswith(f"--files-from: {named} is in the list, and this job writes it ({output}); ")
    assert output.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "images", "link.png", "list"]


@POSIX
def test_what_is_no_regular_file_is_never_replaced(score, images, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to("/dev/null")
    (tmp_path / "folder").mkdir()
    for name, why in (("pipe", "no regular file"), ("null", "no regular file"), ("folder", "a folder")):
        said = score.refused(images, "-o", tmp_path / "a.csv", "--report", tmp_path / name, OVERWRITE)
        assert said.startswith(f"--report {tmp_path / name}: is {why}; name ")


def test_a_url_is_no_local_file(score, images, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert "is no local file" in score.refused(images, "-o", "s3://bucket/a.csv")
    assert not Path("s3:").exists()


def test_a_name_that_is_too_long_is_said_at_once(score, images, tmp_path):
    said = score.refused(images, "-o", tmp_path / ("n" * 252 + ".csv"))
    assert said.endswith("the name is too long; choose a shorter one")


@pytest.mark.skipif(sys.platform != "linux", reason="/proc can never be written")
def test_a_report_whose_folder_cannot_be_written_is_refused_before_any_work(score, images, tmp_path):
    said = score.refused(images, "-o", tmp_path / "a.csv", "--report", "/proc/1/a.html", code=1)
    assert said.startswith("/proc/1 cannot be written: ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images"]


@pytest.mark.parametrize("length", [224, 241, 255])
def test_names_as_long_as_names_can_be_work_and_leave_nothing_else(score, images, tmp_path, length):
    folder = tmp_path / "out"
    letters = length - len(b".csv")
    output = folder / ("ä" * (letters // 2) + "a" * (letters % 2) + ".csv")
    report = folder / ("p" * (length - len(".html")) + ".html")
    assert len(os.fsencode(output.name)) == len(os.fsencode(report.name)) == length
    score(images, "-o", output, "--report", report)
    score(images, "-o", output, "--report", report, RESUME)
    score(images, "-o", output, "--report", report, OVERWRITE)
    manifest = Outputs.of(output).manifest
    assert set(folder.iterdir()) == {output, report, manifest}
    assert manifest.name == f"{output.name}.manifest.json" or length > 241
    assert len(rows_of(output)) == 4


def test_temporary_files_of_killed_writers_go_whatever_their_names(images, tmp_path):
    job = job_of(tmp_path, tmp_path / ("n" * 240 + "[1].csv"), tmp_path / "page[*].html")
    strangers = [tmp_path / ".page.html.1-00000000.tmp", tmp_path / ".page[*].html.tmp"]
    with claim(job):
        pass
    from mnist_pipeline.files import temporary_sibling

    for path in (*map(temporary_sibling, job.outputs.visible), *strangers):
        path.touch()
    with claim(job):
        assert {path.name for path in tmp_path.glob(".*.tmp")} == {path.name for path in strangers}


def test_two_jobs_do_not_write_one_report(tmp_path):
    page = tmp_path / "page.html"
    one, other = (job_of(tmp_path, tmp_path / name, page) for name in ("a.csv", "b.csv"))
    with claim(one):
        refused = pytest.raises(PipelineError, match=r"another job is writing .*page\.html")
        with refused, claim(other):
            pytest.fail("two at once")
    assert list(tmp_path.iterdir()) == []


def test_a_list_on_standard_input_is_not_written_over(score, images, tmp_path, monkeypatch):
    listed = tmp_path / "list.csv"
    listed.write_text(f"{next(images.rglob('*.png'))}\n")
    before = listed.read_bytes()
    with listed.open("rb") as file:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(file))
        from mnist_pipeline.cli.score import _names

        refused = pytest.raises(UsageError, match=r"list\.csv: is the list; name another file")
        with _names("-") as names, refused, claim(job_of(tmp_path, listed), names):
            pytest.fail("claimed")
    assert listed.read_bytes() == before
