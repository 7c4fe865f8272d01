"""The reports in a real headless Chromium: what a reader gets, on a phone, on a desk, in the dark, on paper.

Skipped where no Chromium and chromedriver are installed (Debian: chromium, chromium-driver). The
accessibility check takes axe-core from AXE_CORE (the path of axe.min.js) or from node_modules
(npm install axe-core), and is skipped where neither is there.
"""

import json
import re
from pathlib import Path

import pytest

from mnist_pipeline.evaluation.schema import Evaluation
from mnist_pipeline.files import write_text
from mnist_pipeline.reporting.html import render_comparison_html, render_html
from mnist_pipeline.reporting.inputs import RunFacts
from tests.support import browser as support
from tests.support.reports import make_inputs, sample_evaluation, sample_history, sample_verdict

pytestmark = pytest.mark.skipif(
    not (support.CHROMIUM and support.CHROMEDRIVER),
    reason="needs chromium and chromedriver (Debian: chromium, chromium-driver)",
)
PAGES = ("promoted", "refused", "comparison")


class Browser(support.Browser):
    """Opens reports, and reads their tables."""

    def show(self, page: Path, *, width: int = 1440, scheme: str = "light", media: str = "screen") -> None:
        self.messages()
        self.requests()
        self.open(page.as_uri(), width=width, scheme=scheme, media=media)
        self.run("document.querySelectorAll('details').forEach(part => { part.open = true })")

    def numbers(self, table: str) -> list[list[float]]:
        """The exact values of a table's body, row by row."""
        script = (
            "return [...document.querySelectorAll(arguments[0] + ' tbody tr')].map("
            "row => [...row.querySelectorAll('data')].map(cell => Number(cell.value)))"
        )
        found: list[list[float]] = self.run(script, table)
        return found

    def texts(self, selector: str) -> list[str]:
        found: list[str] = self.run(
            "return [...document.querySelectorAll(arguments[0])].map(part => part.innerText)", selector
        )
        return found


@pytest.fixture(scope="module")
def browser(only_browser: support.Browser) -> Browser:
    return Browser(only_browser.driver)


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return sample_evaluation()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A full report, one that lacks what can be absent and holds long names, and a comparison."""
    full = make_inputs()
    long = "an-unbroken-name-that-is-longer-than-any-phone-is-wide-" * 2
    refused = make_inputs(
        run=RunFacts(run_id=long, model=long, source=f"https://{long}.example/{long}", config={"a": long}),
        evaluation=sample_evaluation(dataset=long, fallback=True, class_names=[long, *full.evaluation.class_names[1:]]),
        history=sample_history(3, held_out=False),
        verdict=sample_verdict(promoted=False),
        comparison=None,
        images={},
    )
    other = make_inputs(evaluation=sample_evaluation(mistakes=full.evaluation.mistakes[20:]))
    texts = {
        "promoted": render_html(full),
        "refused": render_html(refused),
        "comparison": render_comparison_html(full, other),
    }
    folder = tmp_path_factory.mktemp("pages")
    for name, text in texts.items():
        write_text(folder / f"{name}.html", text)
    return {name: folder / f"{name}.html" for name in texts}


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_requested_and_nothing_complains(browser: Browser, pages: dict[str, Path], name: str) -> None:
    browser.show(pages[name])
    assert browser.messages() == []
    assert browser.requests() == [pages[name].as_uri()]
    assert browser.run("return document.compatMode") == "CSS1Compat"
    broken = "return [...document.images].filter(image => !(image.complete && image.naturalWidth === 28)).length"
    assert browser.run(broken) == 0


def test_the_policy_is_in_force(browser: Browser, pages: dict[str, Path], tmp_path: Path) -> None:
    text = pages["promoted"].read_text(encoding="utf-8")
    hostile = tmp_path / "hostile.html"
    injected = "<script>document.title = 'taken'</script><style>body { display: none }</style>"
    write_text(hostile, text.replace("<h1>", f"{injected}<img src='http://127.0.0.1:9/x.png'><h1>"))
    browser.show(hostile)
    assert browser.run("return document.title") != "taken"
    assert browser.run("return getComputedStyle(document.body).display") == "block"
    assert len(browser.messages()) == 3


def test_every_number_equals_the_evaluation(browser: Browser, pages: dict[str, Path], evaluation: Evaluation) -> None:
    browser.show(pages["promoted"])
    stored = json.loads(evaluation.model_dump_json())
    inputs = make_inputs()
    fields = ("accuracy", "samples", "precision", "recall", "f1")
    assert browser.numbers("#per-class") == [[part[field] for field in fields] for part in stored["per_class"]]
    assert browser.numbers("#confusion") == stored["confusion_matrix"]
    assert browser.numbers("#pairs") == [[pair["count"]] for pair in stored["confused_pairs"]]
    assert browser.numbers("#reliability") == [
        [part["count"], part["confidence"], part["accuracy"]] if part["count"] else [0]
        for part in stored["reliability"]
    ]
    assert browser.numbers("#coverage") == [
        [point["threshold"], point["coverage"], point["accuracy"]] for point in stored["coverage"]
    ]
    assert browser.numbers("#latency") == [
        [one["batch"], one["median_ms"], one["p95_ms"], one["calls"]] for one in stored["latency"]
    ]
    assert inputs.comparison is not None
    assert [row[:2] for row in browser.numbers("#changes")] == [
        [part.candidate, part.champion] for part in inputs.comparison.per_class
    ]
    assert browser.numbers("#class-counts") == [
        list(counts) for counts in zip(*inputs.class_counts.values(), strict=True)
    ]
    assert browser.numbers("#layers") == [[layer.parameters] for layer in inputs.history.layers]
    assert browser.run("return Number(document.querySelector('#accuracy data').value)") == stored["accuracy"]


def test_what_is_read_is_the_rounded_value(browser: Browser, pages: dict[str, Path]) -> None:
    browser.show(pages["promoted"])
    cells = browser.run(
        "return [...document.querySelectorAll('#per-class data, #confusion data, #coverage td data, #epochs data')]"
        ".map(cell => [Number(cell.value), cell.innerText])"
    )
    assert len(cells) > 200
    for value, text in cells:
        shown, last_digit = read(text)
        if text.startswith("> "):
            assert shown < value < 1
        else:  # a value exactly between two digits may go either way
            assert abs(shown - value) <= 0.500001 * last_digit, (value, text)


def read(text: str) -> tuple[float, float]:
    """The number in a cell, and the size of its last digit."""
    digits, _, unit = text.removeprefix("> ").replace(",", "").partition("\u00a0")
    power = re.fullmatch("\u00d7\u00a010(.+)", unit)
    raised = str.maketrans("\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207b", "0123456789-")
    scale = 0.01 if unit == "%" else 10.0 ** int(power[1].translate(raised)) if power else 1
    return float(digits) * scale, 10.0 ** -len(digits.partition(".")[2]) * scale


def test_every_class_is_named(browser: Browser, pages: dict[str, Path], evaluation: Evaluation) -> None:
    browser.show(pages["promoted"])
    expected = [f"{label} {name}" for label, name in enumerate(evaluation.class_names)]
    for table in ("#per-class", "#confusion", "#changes", "#class-counts"):
        assert browser.texts(f"{table} tbody th") == expected
    assert browser.texts("#confusion thead th[scope=col] abbr") == [str(label) for label in range(10)]


@pytest.mark.parametrize("width", [320, 390, 820, 1440])
@pytest.mark.parametrize("name", PAGES)
def test_no_page_scrolls_sideways(browser: Browser, pages: dict[str, Path], name: str, width: int) -> None:
    browser.show(pages[name], width=width)
    wide, shown = browser.run("return ['scrollWidth', 'clientWidth'].map(name => document.documentElement[name])")
    assert wide == shown <= width
    outside = browser.run(
        "const page = document.documentElement.clientWidth + 0.5;"
        "return [...document.querySelectorAll('body *')]"
        ".filter(part => !part.closest('.wide, .skip, .visually-hidden') && part.getBoundingClientRect().right > page)"
        ".map(part => part.outerHTML.slice(0, 80))"
    )
    assert outside == []


def contrast(one: list[float], other: list[float]) -> float:
    """WCAG 2 contrast ratio of two colours, channels in [0, 255]."""

    def luminance(colour: list[float]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (part / 255 for part in colour)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def channels(colour: str) -> list[float]:
    return [float(part) for part in re.findall(r"[\d.]+", colour)[:3]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_charts_are_legible_by_day_and_by_night(browser: Browser, pages: dict[str, Path], scheme: str) -> None:
    browser.show(pages["promoted"], scheme=scheme)
    paper = channels(browser.run("return getComputedStyle(document.body).backgroundColor"))
    fills = browser.run(
        "return [...new Set([...document.querySelectorAll('svg text')].map(text => getComputedStyle(text).fill))]"
    )
    assert len(fills) >= 3
    assert all(contrast(channels(fill), paper) >= 4.5 for fill in fills), fills
    lines = browser.run(
        "return [...new Set([...document.querySelectorAll('svg [stroke^=\"var(--chart-\"]')]"
        ".filter(line => !/rule|paper/.test(line.getAttribute('stroke'))).map(line => getComputedStyle(line).stroke))]"
    )
    assert len(lines) >= 4
    assert all(contrast(channels(line), paper) >= 3 for line in lines), lines
    heights = browser.run(
        "return [...document.querySelectorAll('svg text')].map(text => text.getBoundingClientRect().height)"
    )
    assert min(heights) >= 9


def test_the_keyboard_reaches_the_content(browser: Browser, pages: dict[str, Path]) -> None:
    from selenium.webdriver.common.keys import Keys

    browser.show(pages["promoted"], width=390)
    body = browser.driver.find_element("tag name", "body")
    body.send_keys(Keys.TAB)
    skip = browser.driver.switch_to.active_element
    assert skip.text == "Skip to the content"
    assert browser.run("return arguments[0].getBoundingClientRect().left", skip) >= 0
    skip.send_keys(Keys.ENTER)
    assert browser.run("return location.hash") == "#main"
    scrolled = browser.run(
        "return [...document.querySelectorAll('.wide')].filter(part => part.scrollWidth > part.clientWidth)"
        ".every(part => part.tabIndex === 0 && part.getAttribute('aria-label'))"
    )
    assert scrolled is True


def test_paper_is_white_even_at_night(browser: Browser, pages: dict[str, Path]) -> None:
    browser.show(pages["promoted"], scheme="dark", media="print")
    assert browser.run("return getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert browser.run("return getComputedStyle(document.querySelector('nav')).display") == "none"
    assert browser.run("return getComputedStyle(document.querySelector('.wide')).overflowX") == "visible"
    text = browser.run("return getComputedStyle(document.querySelector('svg text')).fill")
    assert contrast(channels(text), [255, 255, 255]) >= 7


@pytest.mark.skipif(not support.AXE.is_file(), reason="needs axe-core: set AXE_CORE, or run npm install axe-core")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_serious(browser: Browser, pages: dict[str, Path], name: str, scheme: str) -> None:
    browser.show(pages[name], width=390 if scheme == "dark" else 1440, scheme=scheme)
    browser.run(support.AXE.read_text(encoding="utf-8"))
    found = browser.driver.execute_async_script(
        "const done = arguments[0]; axe.run({preload: false}).then(done, error => done(String(error)))"
    )
    assert len(found["passes"]) > 20
    violations = [
        (one["impact"], one["id"], [node["html"][:120] for node in one["nodes"]][:3]) for one in found["violations"]
    ]
    assert violations == []
