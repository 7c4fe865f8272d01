"""The review sheet: a file in which people answer, and whose answers are taken as labels."""

import csv
import json
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from mnist_pipeline.cli.app import app
from mnist_pipeline.errors import UsageError
from mnist_pipeline.labels.review import open_review
from mnist_pipeline.labels.store import open_labels
from mnist_pipeline.reporting.review import review_sheet
from mnist_pipeline.scoring.rows import location_of
from mnist_pipeline.scoring.sources.reading import Location
from tests.support.browser import AXE, CHROMEDRIVER, CHROMIUM
from tests.support.images import png

needs_chromium = pytest.mark.skipif(
    not (CHROMIUM and CHROMEDRIVER), reason="needs chromium and chromedriver (Debian: chromium, chromium-driver)"
)
COUNTED = (
    "const r = document.getElementById('reviewer'), c = document.getElementById('count');"
    "return r.ariaBusy === 'false' && c.textContent.startsWith(arguments[0])"
)
NASTY = 'it\'s, "so" <script><b>\n.png'


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def score(workspace, folder, output, *more):
    return run("score", folder, "--output", output, "--workspace", workspace.root, "--workers", 1, *more)


@pytest.fixture
def scans(small_workspace, tmp_path):
    """Five digits, one under a name that needs care, and a file that is no image."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in range(4):
        shutil.copy(small_workspace.scans / f"{number}.png", folder / f"{number}.png")
    shutil.copy(small_workspace.scans / "4.png", folder / NASTY)
    (folder / "notes.txt").write_text("no image")
    return folder


def shown_in(sheet):
    """The images that a sheet holds."""
    return json.loads(sheet.split('<script type="application/json" id="images">')[1].split("</script>")[0])


def test_score_writes_a_sheet_with_what_could_be_scored_and_as_many_as_are_asked_for(small_workspace, scans, tmp_path):
    done = score(
        small_workspace, scans, tmp_path / "out.csv", "--review", tmp_path / "review.html", "--review-count", 3
    )
    assert done.exit_code == 0, done.output
    assert str(tmp_path / "review.html") in done.output
    assert len(shown_in((tmp_path / "review.html").read_text())) == 3
    again = score(small_workspace, scans, tmp_path / "out.csv", "--review", tmp_path / "review.html", "--resume")
    assert again.exit_code == 0, again.output
    sheet = (tmp_path / "review.html").read_text()
    assert {image["path"] for image in shown_in(sheet)} == {
        str(path) for path in scans.iterdir() if path.suffix == ".png"
    }
    assert "<b>" not in sheet


def test_the_output_says_where_its_images_are_so_that_a_server_can_show_them(small_workspace, scans, tmp_path):
    sheet = scans / "review.html"  # among the images, of which it is none
    for more in ([], ["--resume"]):
        done = score(small_workspace, scans, tmp_path / "out.csv", "--review", sheet, *more)
        assert done.exit_code == 0, done.output
        assert "6 images: " in done.output
    output = tmp_path / "out.csv"
    review = open_review(output, location_of(output), open_labels(tmp_path / "labels"), 100)
    assert {image.row.name.decode() for image in review.images.values()} == {
        path.name for path in scans.iterdir() if path.suffix == ".png"
    }
    (tmp_path / "out.csv.manifest.json").unlink()
    with pytest.raises(UsageError, match="has no manifest that says where its images are"):
        location_of(output)


def test_a_sheet_replaces_nothing_that_is_there_and_names_what_cannot_have_one(small_workspace, scans, tmp_path):
    (tmp_path / "mine.html").write_text("mine")
    for words, sentence in [
        (["--review", tmp_path / "mine.html"], f"--review {tmp_path / 'mine.html'} exists"),
        (["--review", scans / "0.png", "--overwrite"], "--review"),
        (["--review", tmp_path / "r.html", "--dask-scheduler", "tcp://localhost:1"], "--review: the sheet names files"),
    ]:
        done = score(small_workspace, scans, tmp_path / "out.csv", *words)
        assert done.exit_code == 2
        assert done.stderr.startswith(f"error: {sentence}")
        assert len(done.stderr.splitlines()) == 1
    assert (tmp_path / "mine.html").read_text() == "mine"
    assert not (tmp_path / "out.csv").exists()


@pytest.fixture
def sheet(tmp_path):
    """A sheet of four images, made without a model; and the names that its table can hold."""
    folder = tmp_path / "scans"
    folder.mkdir()
    names = ["0.png", "1.png", "2.png", NASTY]
    for number, name in enumerate(names):
        (folder / name).write_bytes(png(np.full((40, 30), 60 * number, np.uint8)))
    rows = [{"path": name, "status": "ok", "digit": 7, "confidence": 0.6, "reason": None} for name in names]
    (tmp_path / "out.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = tmp_path / "review.html"
    path.write_text(review_sheet(tmp_path / "out.jsonl", Location.of(str(folder)), 10))
    return path


@needs_chromium
def test_what_is_answered_in_a_browser_is_saved_as_a_table_and_taken_as_labels(browser, sheet, tmp_path):
    downloads = tmp_path / "downloads"
    browser.command("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))
    browser.open(sheet.as_uri())
    browser.wait(COUNTED, "0 of 4")
    assert browser.text("#said") == ""
    for answered, key in enumerate(("3", "x", "5"), 1):
        browser.command("Input.dispatchKeyEvent", type="keyDown", key=key, text=key)
        browser.wait(COUNTED, f"{answered} of 4")
    assert browser.text("#said") == "The one before: you 5, the model 7 (60.0\u00a0%)."
    browser.command("Input.dispatchKeyEvent", type="keyDown", key="u", text="u")
    browser.wait(COUNTED, "2 of 4")
    for answered in (3, 4):
        browser.run("document.querySelector('[data-label=\"9\"]').click()")
        browser.wait(COUNTED, f"{answered} of 4")
    assert browser.text("#finished") == "Done: all are answered."
    browser.run("document.getElementById('save').click()")
    table = downloads / "labels.csv"
    browser.wait_for(table.is_file)
    assert browser.messages() == []
    assert [url for url in browser.requests() if not url.startswith("file:")] == []
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["label"] for row in rows) == ["3", "9", "9", "none"]
    assert {row["path"] for row in rows} == {str(path) for path in (tmp_path / "scans").iterdir()}
    done = run("labels", "add", table, "--by", "anna", "--workspace", tmp_path / "w")
    assert done.exit_code == 0, done.output
    catalogue = open_labels(tmp_path / "w" / "labels").catalogue()
    assert {image.answers[0].source: image.label for image in catalogue.images.values()} == {
        row["path"]: row["label"] for row in rows
    }


@needs_chromium
def test_answers_survive_the_page_and_it_fits_a_phone_and_keeps_nobody_out(browser, sheet, tmp_path):
    for width, scheme, answered in ((360, "light", 0), (1440, "dark", 1)):
        downloads = tmp_path / scheme
        browser.command("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))
        browser.open(sheet.as_uri(), width=width, scheme=scheme)
        browser.wait(COUNTED, f"{answered} of 4")
        assert browser.run("return document.documentElement.scrollWidth") <= width
        assert not AXE.is_file() or browser.axe() == []
        browser.run("document.querySelector('[data-label=\"1\"]').click()")
        browser.wait(COUNTED, f"{answered + 1} of 4")
        browser.run("document.getElementById('save').click()")  # else the page asks whether to leave it
        browser.wait_for((downloads / "labels.csv").is_file)
