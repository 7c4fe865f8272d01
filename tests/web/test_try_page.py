"""The page to try, in a real Chromium: drawn on by pointer, finger and pen; images dropped, pasted and chosen."""

import base64

import numpy as np
import pytest

from mnist_pipeline.runs.artifacts import EvaluatedModel
from tests.support.browser import AXE, CHROMEDRIVER, CHROMIUM
from tests.support.handwriting import SCRIBBLE, written
from tests.support.images import png
from tests.support.served import served
from tests.support.small_workspace import publish

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and CHROMEDRIVER), reason="needs chromium and chromedriver (Debian: chromium, chromium-driver)"
)
SETTLED = "const v = document.getElementById('verdict'); return v.ariaBusy === 'false' && v.className"
INKED = """
const pixels = document.getElementById("draw").getContext("2d").getImageData(0, 0, 560, 560).data;
return pixels.reduce((sum, value, at) => sum + (at % 4 === 0 && value < 128), 0);
"""
BRING = """
const bytes = Uint8Array.from(atob(arguments[0]), character => character.charCodeAt(0));
const files = new DataTransfer();
files.items.add(new File([bytes], "digit.png", {type: "image/png"}));
const kind = arguments[1];
if (kind === "drop") {
  document.getElementById("draw").dispatchEvent(new DragEvent("drop", {dataTransfer: files, bubbles: true}));
} else {
  document.dispatchEvent(new ClipboardEvent("paste", {clipboardData: files}));
}
"""


@pytest.fixture
def page(browser, server):
    browser.open(server.url)
    yield browser
    assert browser.messages() == []
    assert all(url.startswith(server.url) for url in browser.requests())


def inked(page):
    return page.run(INKED)


def answer_of(server, data):
    return server.classify(data).json()


@pytest.mark.parametrize("how", ["mouse", "pen", "touch"])
def test_what_is_drawn_is_answered_and_shown_as_the_model_sees_it(page, how):
    page.draw(written(3, np.random.default_rng(1), size=0.6, at=(0.5, 0.5)), how=how)
    page.wait(SETTLED)
    assert inked(page) > 3_000
    assert page.text("#digit") in {*map(str, range(10)), "No digit"}
    values = page.run("return [...document.querySelectorAll('#bars .value')].map(part => part.textContent)")
    assert abs(sum(float(value.strip("> %\xa0")) for value in values) - 100) < 1
    seen = page.run("return [...document.getElementById('seen').getContext('2d').getImageData(0, 0, 28, 28).data]")
    strength = np.array(seen).reshape(28, 28, 4)[..., 0]
    assert strength.max() == 255
    assert (strength[:3] == 0).all()  # in MNIST's form there is nothing at the edge


def test_a_pen_that_presses_harder_draws_thicker_and_a_thicker_pen_too(page):
    stroke = [[(0.2, 0.5), (0.8, 0.5)]]
    found = []
    for how, force in (("mouse", 0.5), ("pen", 0.1), ("pen", 0.9)):
        page.run("document.getElementById('clear').click()")
        page.draw(stroke, how=how, force=force)
        found.append(inked(page))
    page.run("document.getElementById('clear').click()")
    page.run("document.getElementById('thickness').value = 64")
    page.draw(stroke)
    mouse, light, hard = found
    assert light < mouse < hard < inked(page)


def test_undo_clear_and_their_keys(page):
    page.draw([[(0.2, 0.2), (0.4, 0.2)], [(0.2, 0.8), (0.8, 0.8)]])
    both = inked(page)
    page.run("document.getElementById('undo').click()")
    assert 0 < inked(page) < both
    page.draw([[(0.2, 0.8), (0.8, 0.8)]])
    assert inked(page) == both
    for key, modifiers in (("z", 2), ("Escape", 0)):
        page.command("Input.dispatchKeyEvent", type="keyDown", key=key, modifiers=modifiers)
    page.wait("return document.getElementById('clear').disabled")
    assert inked(page) == 0
    assert page.text("#sentence") == "Nothing is drawn yet."
    assert page.run("return document.getElementById('undo').disabled")


@pytest.mark.parametrize("kind", ["drop", "paste", "choose"])
def test_an_image_that_is_brought_is_answered_as_the_interface_answers_its_file(
    page, server, small_workspace, tmp_path, kind
):
    path = small_workspace.scans / "2.png"
    if kind == "choose":
        page.driver.find_element("id", "choose").send_keys(str(path))
    else:
        page.run(BRING, base64.b64encode(path.read_bytes()).decode(), kind)
    assert page.wait(SETTLED) == "ok"
    assert page.text("#digit") == str(answer_of(server, path.read_bytes())["digit"])
    assert inked(page) > 0
    page.run("document.getElementById('undo').click()")
    assert inked(page) == 0


def test_what_is_no_image_is_said_in_words(page):
    page.run(BRING, base64.b64encode(b"no image").decode(), "drop")
    assert page.wait(SETTLED) == "failed"
    assert page.text("#sentence").startswith("Not an image: none of PNG, JPEG")


def test_a_blank_image_is_no_digit_with_its_reason(page):
    page.run(BRING, base64.b64encode(png(np.full((50, 50), 240, np.uint8))).decode(), "drop")
    assert page.wait(SETTLED) == "no-digit"
    assert page.text("#verdict").split("\n")[-1] == "There is no ink on it."


def test_the_page_says_which_model_answers_and_how_good_it_is(page, small_workspace):
    assert page.text("#about").startswith(f"digits {small_workspace.version}: 9")
    assert page.text("#about").endswith("360 test images read right.")


@pytest.mark.parametrize("width", [360, 768, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_cut_off_and_nothing_keeps_anybody_out(browser, server, width, scheme):
    browser.open(server.url, width=width, scheme=scheme)
    browser.draw(SCRIBBLE)
    browser.wait(SETTLED)
    assert browser.run("return document.documentElement.scrollWidth") <= width
    left, _, across, _ = browser.box("#draw")
    assert left >= 0
    assert left + across <= width
    if AXE.is_file():
        assert browser.axe() == []


def test_a_server_that_has_gone_is_said(browser, small_workspace):
    with served(small_workspace.root) as running:
        browser.open(running.url)
    browser.draw([[(0.2, 0.2), (0.4, 0.2)]])
    assert browser.wait(SETTLED) == "failed"
    assert browser.text("#sentence") == "The server does not answer. Is it still running?"
    browser.messages()


def test_the_first_model_and_each_new_one_is_named_as_it_answers_without_a_reload(browser, candidates):
    with served(candidates.workspace.root) as running:
        browser.open(running.url)
        assert browser.text("#about").startswith("No models in ")
        for fitting in (3, 30):
            run = candidates.train(fitting)
            evaluated = run.output(EvaluatedModel)
            version = publish(candidates.registry, run, candidates.dataset.digest, evaluated)
            browser.wait_for(lambda: running.client.get("/health").json()["version"] == version)  # noqa: B023
            browser.draw([[(0.5, 0.2), (0.5, 0.8)]])
            browser.wait("return document.getElementById('about').dataset.version === arguments[0]", version)
            assert browser.text("#about").startswith(f"digits {version}: ")
        browser.messages()
