"""Review: what people answer is kept, by whom, before the next picture shows; and the model's answer comes after."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from mnist_pipeline.cli.app import app
from mnist_pipeline.labels.review import open_review
from mnist_pipeline.labels.store import open_labels
from mnist_pipeline.scoring.pictures import readable_picture
from mnist_pipeline.scoring.sources.reading import Location
from mnist_pipeline.web.security import Access, own_names
from tests.support.browser import AXE, CHROMEDRIVER, CHROMIUM, chromium
from tests.support.images import png
from tests.support.served import served

needs_chromium = pytest.mark.skipif(
    not (CHROMIUM and CHROMEDRIVER), reason="needs chromium and chromedriver (Debian: chromium, chromium-driver)"
)
IMAGES = 12
READY = "const r = document.getElementById('reviewer'); return r.ariaBusy === 'false' && r.dataset.shown"


@pytest.fixture
def folder(tmp_path):
    """An output and its images; the model says 7 with 60 % to each, and refuses every fourth."""
    (tmp_path / "scans").mkdir()
    rows = ["path,status,digit,confidence,reason,error"]
    for number in range(IMAGES):
        picture = np.random.default_rng(number).integers(0, 255, (40, 30), np.uint8)
        (tmp_path / "scans" / f"{number}.png").write_bytes(png(picture))
        rows.append(f"{number}.png," + ("no_digit,,,blank," if number % 4 == 0 else "ok,7,0.600000,,"))
    (tmp_path / "out.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def review_of(folder, count=100):
    return open_review(
        folder / "out.csv", Location.of(str(folder / "scans")), open_labels(folder / "artifacts/labels"), count
    )


@pytest.fixture
def running(folder):
    with served(folder / "artifacts", review=review_of(folder)) as found:
        yield found


def queue_of(server, by):
    return server.client.get("/review/queue", params={"by": by}).json()


def say(server, image, label, by="anna", **options):
    return server.client.post("/review/answers", json={"image": image, "label": label, "by": by}, **options)


def catalog_of(folder):
    return open_labels(folder / "artifacts/labels").catalogue()


def labels_of(folder, by="anna"):
    """Digest -> what a person says."""
    images = catalog_of(folder).images.values()
    return {image.digest: one.label for image in images for one in image.standing if one.by == by}


def test_an_answer_is_kept_by_name_with_its_image_and_only_then_the_model_is_told(running, folder):
    asked = queue_of(running, "anna")
    assert (len(asked["images"]), asked["answered"]) == (IMAGES, 0)
    page = running.client.get("/review").text
    assert "60.0" not in page + json.dumps(asked)
    told = [say(running, image, "3", "  anna ").json() for image in asked["images"]]
    models = [one["model"]["text"] for one in told]
    assert sorted(models) == ["7 (60.0\u00a0%)"] * 9 + ["no digit (blank)"] * 3
    assert labels_of(folder) == dict.fromkeys(asked["images"], "3")
    assert queue_of(running, "anna") == {"images": [], "answered": IMAGES}
    stored = open_labels(folder / "artifacts/labels").image(asked["images"][0])
    assert stored in [path.read_bytes() for path in (folder / "scans").iterdir()]


def test_a_picture_is_shown_as_it_is_scored_in_a_size_that_a_page_needs(running, folder):
    large = np.full((900, 2_000), 200, np.uint8)
    (folder / "scans" / "0.png").write_bytes(png(large))
    with served(folder / "artifacts", review=review_of(folder)) as again:
        found = set()
        for image in queue_of(again, "anna")["images"]:
            response = again.client.get(f"/review/pictures/{image}")
            found.add((response.headers["content-type"], Image.open(io.BytesIO(response.content)).size))
    assert found == {("image/png", (30, 40)), ("image/jpeg", (560, 252))}


@pytest.mark.parametrize("ink", [0, 255])
def test_ink_on_what_one_can_see_through_is_seen_on_a_dark_page_and_on_a_light_one(ink):
    see_through = np.zeros((40, 40, 4), np.uint8)
    see_through[10:30, 18:22] = (ink, ink, ink, 255)
    file = io.BytesIO()
    Image.fromarray(see_through).save(file, "PNG")
    shown = Image.open(io.BytesIO(readable_picture(file.getvalue(), 10_000, 560).data))
    assert shown.mode == "RGB"
    grey = np.asarray(shown.convert("L")).astype(int)
    assert abs(grey[20, 20] - grey[0, 0]) > 200


def test_what_is_withdrawn_is_asked_again_and_both_stay_on_record(running, folder):
    image = queue_of(running, "anna")["images"][0]
    say(running, image, "3")
    assert say(running, image, None).json() == {"kept": None}
    assert labels_of(folder) == {}
    assert image in queue_of(running, "anna")["images"]
    catalogue = catalog_of(folder)
    assert (catalogue.conflicts, catalogue.settled("train"), catalogue.settled("own-test")) == ([], [], [])
    assert [one.withdrawn for one in catalogue.images[image].answers] == [False, True]
    say(running, image, "3")
    assert labels_of(folder) == {image: "3"}
    assert catalog_of(folder).summarise().people == {"anna": 2}


def test_what_was_decided_is_not_asked_of_who_had_answered_it(running, folder):
    image = queue_of(running, "anna")["images"][0]
    say(running, image, "3", "anna")
    say(running, image, "4", "ben")
    open_labels(folder / "artifacts/labels").settle(image, "5", by="dora")
    for by in ("anna", "ben", "dora"):
        assert image not in queue_of(running, by)["images"]
    assert catalog_of(folder).images[image].label == "5"
    say(running, image, None, "ben")
    assert catalog_of(folder).images[image].label == "5"


def test_two_people_at_once_lose_nothing_and_meet_only_where_nothing_else_is_left(running, folder):
    first = {by: queue_of(running, by)["images"] for by in ("anna", "ben")}
    assert first["anna"] != first["ben"]
    say(running, first["anna"][0], "1", "anna")
    assert queue_of(running, "ben")["images"][-1] == first["anna"][0]

    def answer_all(by, label):
        return [say(running, image, label, by).status_code for image in first[by]]

    with ThreadPoolExecutor() as pool:
        codes = [*pool.map(answer_all, ("anna", "ben"), ("1", "2"))]
    assert codes == [[200] * IMAGES] * 2
    assert labels_of(folder, "anna") == dict.fromkeys(first["anna"], "1")
    assert labels_of(folder, "ben") == dict.fromkeys(first["anna"], "2")
    assert len(catalog_of(folder).conflicts) == IMAGES


def test_other_sites_and_whoever_lacks_the_token_change_nothing(folder):
    access = Access(own_names("localhost"), "a-token-of-some-length")
    with served(folder / "artifacts", review=review_of(folder), access=access) as running:
        bearer = {"authorization": "Bearer a-token-of-some-length"}
        image = running.client.get("/review/queue", params={"by": "anna"}, headers=bearer).json()["images"][0]
        assert say(running, image, "1").status_code == 401
        assert running.client.get(f"/review/pictures/{image}").status_code == 401
        for foreign in ({"origin": "http://other.example"}, {"sec-fetch-site": "same-site"}):
            assert say(running, image, "1", headers=bearer | foreign).status_code == 403
        assert labels_of(folder) == {}
        own = {"origin": running.url.rstrip("/"), "sec-fetch-site": "same-origin"}
        assert say(running, image, "1", headers=bearer | own).status_code == 200


@pytest.mark.parametrize(
    ("change", "status", "sentence"),
    [
        ({"label": "12"}, 400, "this is no answer: label"),
        ({"by": " "}, 400, "this is no answer: by"),
        ({"by": "x" * 81}, 400, "this is no answer: by"),
        ({"more": 1}, 400, "this is no answer: more"),
        ({"image": "0" * 64}, 404, "this image is no part of the review any more; load the page again"),
        ({"by": "x" * 5_000}, 413, "the request is larger than 4,000 bytes"),
    ],
)
def test_what_is_no_answer_is_refused_in_one_sentence(running, folder, change, status, sentence):
    image = queue_of(running, "anna")["images"][0]
    response = running.client.post("/review/answers", json={"image": image, "label": "1", "by": "anna"} | change)
    assert response.status_code == status
    assert response.json()["error"].startswith(sentence)
    assert labels_of(folder) == {}


def test_an_image_that_is_not_the_one_any_more_gets_no_label(running, folder):
    for path in (folder / "scans").iterdir():
        path.write_bytes(png(np.full((9, 9), int(path.stem), np.uint8)))
    image = queue_of(running, "anna")["images"][0]
    assert say(running, image, "1").json() == {"error": "the file of this image has changed; skip it"}
    for path in (folder / "scans").iterdir():
        path.unlink()
    assert say(running, image, "1").json()["error"].startswith("this image cannot be read")
    assert labels_of(folder) == {}


def test_where_labels_cannot_be_written_it_is_said_and_the_model_is_not_told(running, folder):
    image = queue_of(running, "anna")["images"][0]
    (folder / "artifacts" / "labels").mkdir(parents=True, exist_ok=True)
    (folder / "artifacts" / "labels" / "images").write_text("in the way")
    response = say(running, image, "1")
    assert response.status_code == 507
    assert response.json()["error"].startswith("the labels cannot be written: ")
    assert labels_of(folder) == {}


def test_without_an_output_the_page_says_how_to_name_one(server):
    assert "serve --review OUTPUT.csv" in server.client.get("/review").text
    assert "serve --review OUTPUT.csv" in queue_of(server, "anna")["error"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--review", "none.csv", "--images", "scans"], "none.csv: No such file or directory"),
        (["--images", "scans"], "--images says where the images of --review OUTPUT are; name that as well"),
        (["--review", "out.csv"], "out.csv has no manifest that says where its images are; name them with --images"),
        (["--review", "out.csv", "--images", "."], "out.csv: none of its images is in"),
    ],
)
def test_what_cannot_be_reviewed_is_said_in_one_line_before_anything_is_served(folder, monkeypatch, words, sentence):
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(app, ["serve", "--port", "0", *words])
    assert done.exit_code == 2
    assert done.stderr.startswith(f"error: {sentence}")
    assert len(done.stderr.splitlines()) == 1


class Program:
    """``mnist-pipeline serve --review`` as a process of its own."""

    def __init__(self, folder):
        command = [sys.executable, "-m", "mnist_pipeline", "serve", "--port", "0", "--workers", "1", "--json"]
        named = ["--review", "out.csv", "--images", "scans", "--workspace", "artifacts"]
        self.process = subprocess.Popen([*command, *named], cwd=folder, stdout=subprocess.PIPE, text=True)
        self.url = json.loads(self.process.stdout.readline())["url"]
        self.client = httpx.Client(base_url=self.url, trust_env=False, timeout=60)

    def kill(self):
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()


def test_a_server_that_is_killed_has_kept_every_answer_that_it_confirmed(folder):
    program = Program(folder)
    confirmed, half = {}, threading.Event()

    def answer():
        for place, image in enumerate(queue_of(program, "anna")["images"]):
            try:
                say(program, image, str(place % 10)).raise_for_status()
            except httpx.HTTPError:
                return
            confirmed[image] = str(place % 10)
            if place == IMAGES // 2:
                half.set()

    person = threading.Thread(target=answer)
    person.start()
    try:
        assert half.wait(120)
    finally:
        program.kill()  # while it is given the next one
    person.join()
    program.client.close()
    assert confirmed.items() <= labels_of(folder).items()
    assert len(labels_of(folder)) - len(confirmed) in {0, 1}
    again = review_of(folder).queue("anna")
    assert set(again.digests).isdisjoint(confirmed)
    assert again.answered == len(labels_of(folder))


def press(browser, key):
    for kind in ("keyDown", "keyUp"):
        browser.command("Input.dispatchKeyEvent", type=kind, key=key, text=key if kind == "keyDown" else "")


def begin(browser, server, by, **options):
    browser.open(f"{server.url}review", **options)
    browser.run("localStorage.clear()")
    browser.open(f"{server.url}review", **options)
    browser.driver.find_element("id", "name").send_keys(f"{by}\n")
    return browser.wait(READY)


def go(browser, act, shown):
    """Do something and return the picture that shows once it is another one."""
    act()
    return browser.wait(f"return (() => {{ {READY} }})() !== arguments[0] && (() => {{ {READY} }})()", shown)


@needs_chromium
def test_by_keys_a_digit_none_skip_and_undo(browser, running, folder):
    first = begin(browser, running, "anna")
    assert browser.text("#count") == f"0 of {IMAGES} answered"
    assert browser.text("#said") == ""
    second = go(browser, lambda: press(browser, "3"), first)
    assert labels_of(folder) == {first: "3"}
    assert browser.text("#said").startswith("The one before: you 3, the model ")
    third = go(browser, lambda: press(browser, "x"), second)
    assert labels_of(folder) == {first: "3", second: "none"}
    go(browser, lambda: press(browser, "s"), third)
    assert browser.text("#said") == "Skipped."
    assert go(browser, lambda: press(browser, "u"), browser.wait(READY)) == third
    assert go(browser, lambda: press(browser, "u"), third) == second
    assert labels_of(folder) == {first: "3"}
    assert browser.text("#count") == f"1 of {IMAGES} answered"
    assert browser.text("#said") == "Taken back: no digit."
    assert browser.messages() == []
    assert all(url.startswith(running.url) for url in browser.requests())


@needs_chromium
def test_nothing_is_told_or_shown_or_taken_before_the_answer_is_kept(browser, folder, monkeypatch):
    review, may_keep = review_of(folder), threading.Event()
    keep = review.answer

    def keep_later(digest, label, *, by):
        assert may_keep.wait(120)
        keep(digest, label, by=by)

    monkeypatch.setattr(review, "answer", keep_later)
    with served(folder / "artifacts", review=review) as running:
        first = begin(browser, running, "anna")
        press(browser, "3")
        browser.wait("return document.getElementById('reviewer').ariaBusy === 'true'")
        press(browser, "4")  # it cannot be meant for a picture that does not show
        shown = "return [document.getElementById('picture').src, document.getElementById('said').textContent]"
        assert browser.run(shown) == [f"{running.url}review/pictures/{first}", ""]
        assert labels_of(folder) == {}
        second = go(browser, may_keep.set, first)
        browser.command("Input.dispatchKeyEvent", type="keyDown", key="3", text="3", autoRepeat=True)
        assert browser.wait(READY) == second
    assert [(one.digest, one.label) for one in catalog_of(folder).answers] == [(first, "3")]


@needs_chromium
def test_by_touch_to_the_end_and_a_reload_knows_who_answers_and_what_is_left(browser, running, folder):
    shown = begin(browser, running, "ben", width=360, height=740)
    browser.run("document.querySelector('[data-label=\"5\"]').click()")
    shown = browser.wait(f"return (() => {{ {READY} }})() !== arguments[0] && (() => {{ {READY} }})()", shown)
    browser.driver.refresh()
    browser.wait(READY)
    assert browser.text("#by") == "ben"
    assert browser.text("#count") == f"1 of {IMAGES} answered"
    for answered in range(2, IMAGES + 1):
        left, top, width, height = browser.box('[data-label="5"]')
        browser.command(
            "Input.dispatchTouchEvent",
            type="touchStart",
            touchPoints=[{"x": left + width / 2, "y": top + height / 2}],
        )
        browser.command("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        counted = "return document.getElementById('count').textContent.startsWith(arguments[0])"
        browser.wait(f"{counted} && document.getElementById('reviewer').ariaBusy === 'false'", f"{answered} of")
    assert browser.text("#finished") == "Done: all are answered."
    assert set(labels_of(folder, "ben").values()) == {"5"}
    assert len(labels_of(folder, "ben")) == IMAGES


@needs_chromium
@pytest.mark.parametrize("width", [360, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_and_keeps_nobody_out(browser, running, width, scheme):
    shown = begin(browser, running, "anna", width=width, height=760, scheme=scheme)
    go(browser, lambda: press(browser, "1"), shown)
    assert browser.run("return document.documentElement.scrollWidth") <= width
    bottom = browser.run("return document.querySelector('.keypad').getBoundingClientRect().bottom")
    assert bottom <= 760 or width > 360
    assert not AXE.is_file() or browser.axe() == []


@needs_chromium
def test_where_the_server_has_gone_the_picture_stays_and_it_is_said(browser, folder):
    with served(folder / "artifacts", review=review_of(folder)) as running:
        shown = begin(browser, running, "anna")
    press(browser, "1")
    browser.wait("return document.getElementById('said').className === 'failed'")
    assert browser.text("#said") == "Not kept: the server does not answer. Is it still running?"
    assert browser.wait(READY) == shown
    assert labels_of(folder) == {}
    browser.messages()


@needs_chromium
def test_a_browser_that_dies_has_lost_nothing_that_was_answered(running, folder):
    with chromium() as mortal:
        shown = begin(mortal, running, "anna")
        answered = []
        for _ in range(3):
            answered.append(shown)
            shown = go(mortal, lambda: press(mortal, "4"), shown)
        press(mortal, "4")
        driver = mortal.driver.service.process.pid
        for child in Path(f"/proc/{driver}/task/{driver}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)  # while the fourth answer is on its way
    kept = labels_of(folder)
    assert dict.fromkeys(answered, "4").items() <= kept.items() <= dict.fromkeys([*answered, shown], "4").items()
    left = queue_of(running, "anna")
    assert (left["answered"], set(left["images"]) & set(kept)) == (len(kept), set())
