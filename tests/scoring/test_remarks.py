"""What a job must say: what it left out and why, how many errors of which kind, and that there was nothing at all."""

import json
import os
from pathlib import Path

import pytest

UNSCORED = 4


def manifest(output: Path) -> dict[str, object]:
    return json.loads(output.with_name(f"{output.name}.manifest.json").read_text())


@pytest.mark.skipif(os.name != "posix", reason="symbolic links")
def test_a_folder_of_links_only_says_so_even_when_quiet(score, tmp_path):
    folder, output = tmp_path / "images", tmp_path / "out.csv"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.png").symlink_to("/nowhere")
    (folder / ".hidden.png").touch()
    said = score.refused(folder, "-o", output, "-q", code=0)
    assert said == f"warning: there is no image in {folder}; left out: 1 hidden, 3 symbolic links"
    assert score.refused(folder, "-o", output, "-q", "--overwrite", "--strict", code=UNSCORED) == said
    assert output.read_text() == "path,status,digit,confidence,reason,error\n"
    assert manifest(output)["skipped"] == {"hidden": 1, "symbolic link": 3}


def test_an_empty_folder_and_an_empty_list_say_so(score, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "list").write_text("\n\n")
    said = score.refused(tmp_path / "images", "-o", tmp_path / "a.csv", "-q", code=0)
    assert said == f"warning: there is no image in {tmp_path / 'images'}; nothing else is there either"
    said = score.refused("--files-from", tmp_path / "list", "-o", tmp_path / "b.csv", "-q", code=0)
    assert said == "warning: there is no image in the list; nothing else is there either"


def test_a_prefix_that_holds_nothing_or_markers_only_says_so(score, object_server, monkeypatch, tmp_path):
    from mnist_pipeline.files.object_store import ObjectFolder

    monkeypatch.setenv("AWS_ENDPOINT_URL", object_server.endpoint)
    said = score.refused("s3://bucket/nothing here", "-o", tmp_path / "a.csv", "-q", "--strict", code=UNSCORED)
    assert said == "warning: there is no image in s3://bucket/nothing here; nothing else is there either"
    ObjectFolder("s3://bucket/marked").put("old_$folder$", b"")
    said = score.refused("s3://bucket/marked", "-o", tmp_path / "b.csv", "-q", code=0)
    assert said == "warning: there is no image in s3://bucket/marked; left out: 1 folder marker"


def test_errors_are_counted_by_kind_and_a_job_of_errors_alone_is_loud(score, make_folder, tmp_path, capsys):
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "empty.png").touch()
    for name in ("a.txt", "b.txt"):
        (folder / name).write_text("no image")
    said = score(folder, "-o", tmp_path / "a.csv", "-q")
    assert said == (
        "warning: not one of the 3 images could be scored: 1 empty, 2 not an image; the column 'error' says why\n"
    )
    make_folder(2)
    (folder / "link.png").symlink_to("a.txt")
    output = score.output(folder, "-o", tmp_path / "b.csv", "-q")
    assert output.splitlines()[0] == "5 images: 2 ok, 0 no digit, 3 errors (1 empty, 2 not an image)"
    assert "left out: 1 symbolic link" in output.splitlines()
    assert score(folder, "-o", tmp_path / "c.csv", "-q", "--strict", code=UNSCORED) == ""
    for name in ("a.txt", "b.txt", "link.png"):
        (folder / name).unlink()
    output = score.output(folder, "-o", tmp_path / "d.csv", "-q")
    assert output.splitlines()[0] == "3 images: 2 ok, 0 no digit, 1 error (1 empty)"


def test_a_folder_that_could_not_be_read_is_told():
    from mnist_pipeline.scoring.summary import ScoreSummary, is_complete, remarks

    told = ScoreSummary.model_construct(
        images=3, errors=0, unreadable_folders=["shut/: Permission denied"], skipped={}, location="folder:/scans"
    )
    said = "1 folder could not be read, and what is in there is missing: shut/: Permission denied"
    assert remarks(told) == [said]
    assert not is_complete(told)


def test_a_file_that_never_was_is_not_said_to_be_gone(score, make_folder, tmp_path):
    image = next(make_folder(1).rglob("*.png"))
    (tmp_path / "list").write_text(f"{image}\n{tmp_path / 'never.png'}\n")
    output = score.output("--files-from", tmp_path / "list", "-o", tmp_path / "a.csv", "-q")
    assert f"error  {tmp_path / 'never.png'}: there is no such file" in output.splitlines()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_list_as_windows_writes_it_loses_no_image(score, make_folder, tmp_path, encoding):
    folder = make_folder(3).rename(tmp_path / "Büro 1")
    lines = "\r\n".join(map(str, folder.rglob("*.png")))
    (tmp_path / "list.txt").write_bytes(lines.encode(encoding))
    score("--files-from", tmp_path / "list.txt", "-o", tmp_path / "a.csv", "--strict")
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 4
