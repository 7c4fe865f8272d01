"""Runs and versions on the page: as files tell it, live where a run goes on."""

import json
import re
from contextlib import closing

import pytest

from mnist_pipeline.config import PipelineConfig, parse_config
from mnist_pipeline.runs.live import Begin, LiveCurve
from mnist_pipeline.runs.run import Run
from mnist_pipeline.runs.training_history import Epoch, Layer
from mnist_pipeline.workspace import Workspace
from tests.support.browser import AXE, CHROMEDRIVER, CHROMIUM
from tests.support.served import served

BEGIN = Begin(
    layers=[Layer(name="probabilities", kind="Dense", output_shape=[None, 10], parameters=7_850, trainable=True)],
    batches=40,
    epochs=2,
    train_rows=400,
    validation_rows=100,
)


def epoch(number):
    return Epoch(
        epoch=number,
        loss=1 / number,
        accuracy=1 - 0.5 / number,
        val_loss=1.25 / number,
        val_accuracy=1 - 0.625 / number,
        learning_rate=0.001,
        seconds=1,
    )


@pytest.fixture
def going_on(tmp_path):
    """A run that has begun."""
    return Run.start(Workspace(tmp_path), parse_config(PipelineConfig, {}))


def test_the_list_of_runs_says_how_each_ended_and_leads_to_it(server, small_workspace):
    text = server.client.get("/runs").text
    assert f'<a href="/runs/{small_workspace.run}">' in text
    assert '<span class="state promoted">promoted</span>' in text


def test_a_run_that_has_ended_shows_what_came_out(server, small_workspace):
    text = server.client.get(f"/runs/{small_workspace.run}").text
    evaluation = json.loads((Workspace(small_workspace.root).run(small_workspace.run).evaluation_json).read_text())
    cells = re.findall(r'<td class="(?:diagonal|shade-\d)">(\d+)</td>', text)
    assert [int(cell) for cell in cells] == [number for row in evaluation["confusion_matrix"] for number in row]
    assert text.count("data:image/png;base64,") == 20 + 50 + min(20, len(evaluation["mistakes"]))
    assert f"{evaluation['accuracy']:.2%}".removesuffix("%") in text
    wrong = {one["row"] for one in evaluation["mistakes"]} & {place * 359 // 49 for place in range(50)}
    ordinary = text.partition('class="digits ordinary"')[2].partition("</ul>")[0]
    assert ordinary.count('class="wrong"') == len(wrong) > 0
    assert f"{50 - len(wrong)} are read right, {len(wrong)} wrong." in text
    assert "data-live" not in text


@pytest.mark.parametrize("name", ["20000101T000000-abcdef", "..%2f..", "%2e%2e", "a\0", "x" * 300])
def test_what_is_no_run_is_not_found(server, name):
    for part in ("", "/events", "/curve.json", "/report"):
        response = server.client.get(f"/runs/{name}{part}".replace("\0", "%00"))
        assert response.status_code == 404


def test_the_models_page_tells_versions_and_champions_and_leads_to_reports(server, small_workspace):
    text = server.client.get("/models").text
    assert f"<strong>{small_workspace.version}</strong>" in text
    assert "gate passed" in text
    report = server.client.get(f"/models/digits/{small_workspace.version}/report")
    assert report.text == "<p>a report</p>"
    assert "script-src" not in report.headers["content-security-policy"]
    for wrong in ("digits/000000000000", "digits/..", "other/champion"):
        assert server.client.get(f"/models/{wrong}/report").status_code == 404


def test_pages_of_an_empty_workspace_say_what_to_do(tmp_path):
    with served(tmp_path) as running:
        for path in ("/runs", "/models"):
            assert "mnist-pipeline run-all" in running.client.get(path).text


def test_names_and_reasons_cannot_bring_markup(going_on):
    going_on.finish("failed", "<script>alert(1)</script>")
    with served(going_on.workspace.root) as running:
        for path in ("/runs", f"/runs/{going_on.directory.id}"):
            text = running.client.get(path).text
            assert "<script>alert" not in text
            assert "&lt;script&gt;alert(1)" in text


def events(response):
    """Name and data of each event, as they come."""
    name = ""
    for line in response.iter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def test_whoever_watches_is_told_each_line_once_and_of_each_change_and_of_the_end(going_on):
    path = f"/runs/{going_on.directory.id}/events"
    with (
        served(going_on.workspace.root) as running,
        closing(LiveCurve(going_on.directory.live)) as curve,
        running.client.stream("GET", path) as response,
    ):
        assert response.headers["content-type"].startswith("text/event-stream")
        told = events(response)
        assert next(told) == ("record", None)
        curve.begin(BEGIN, [])
        assert next(told) == ("curve", [{"begin": BEGIN.model_dump(mode="json")}])
        curve.batches(0, 8, {"loss": 2.5, "accuracy": 0.25})
        assert next(told) == ("curve", [{"batch": 8, "loss": 2.5, "accuracy": 0.25}])
        curve.epoch(epoch(1))
        assert next(told) == ("curve", [{"epoch": epoch(1).model_dump(mode="json")}])
        going_on.finish("failed", "interrupted")
        assert list(told) == [("record", None), ("end", None)]


@pytest.mark.skipif(not (CHROMIUM and CHROMEDRIVER), reason="needs chromium and chromedriver")
def test_a_training_is_watched_from_its_first_batch_to_its_end(browser, going_on):
    drawn = "return [...document.querySelectorAll(`#${arguments[0]} path`)].map(p => p.getAttribute('d').length > 9)"
    with served(going_on.workspace.root) as running:
        browser.open(f"{running.url}runs/{going_on.directory.id}")
        assert "The training has not begun yet." in browser.text("#layers")
        assert "The images are fetched" in browser.text(".now")
        assert re.fullmatch(r"fetch \d+ s", browser.text(".steps .doing"))
        with closing(LiveCurve(going_on.directory.live)) as curve:
            curve.begin(BEGIN, [])
            for done in range(2, 21, 2):
                curve.batches(0, done, {"loss": 2.0, "accuracy": 0.5})
            browser.wait(
                "return document.getElementById('latest').textContent === 'Batch 20: loss 2.000, accuracy 50.0 %'"
            )
            assert browser.run(drawn, "loss-by-batch") == [True]
            curve.epoch(epoch(1))
            curve.epoch(epoch(2))
            browser.wait("return document.querySelectorAll('#accuracy-by-epoch circle').length === 4")
        assert browser.run(drawn, "loss-by-epoch") == [True, True]
        going_on.finish("failed", "the disk is full")
        browser.wait("return !document.getElementById('run').dataset.live")
        assert "the disk is full" in browser.text("#facts")
        assert "7,850" in browser.text("#layers")
        assert browser.messages() == []


@pytest.mark.skipif(not (CHROMIUM and CHROMEDRIVER), reason="needs chromium and chromedriver")
def test_a_run_that_begins_and_ends_is_seen_in_the_list_without_a_reload(browser, tmp_path):
    with served(tmp_path) as running:
        browser.open(f"{running.url}runs")
        assert "There is no run in this workspace yet." in browser.text("#runs")
        run = Run.start(Workspace(tmp_path), parse_config(PipelineConfig, {}))
        browser.wait("return document.querySelector('.state.running')")
        assert run.directory.id in browser.text("#runs")
        run.finish("failed", "the disk is full")
        browser.wait("return document.querySelector('.state.failed')")
        assert "the disk is full" in browser.text("#runs")
        assert browser.messages() == []


LEGIBLE = "return [...document.querySelectorAll('.chart text')].every(text => text.getBoundingClientRect().height > 11)"


@pytest.mark.skipif(not (CHROMIUM and CHROMEDRIVER), reason="needs chromium and chromedriver")
def test_pages_of_runs_and_models_fit_a_phone_and_keep_nobody_out(browser, server, small_workspace):
    for path in ("runs", "models", f"runs/{small_workspace.run}"):
        for width, scheme in ((360, "light"), (1440, "dark")):
            browser.open(server.url + path, width=width, scheme=scheme)
            assert browser.run("return document.documentElement.scrollWidth") <= width
            assert browser.run(LEGIBLE)
            assert not AXE.is_file() or browser.axe() == []
    assert browser.messages() == []
    assert all(url.startswith(server.url) for url in browser.requests())
