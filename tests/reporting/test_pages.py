"""The rendered text of the reports: golden files, escaping, structure."""

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from mnist_pipeline.reporting.html import render_comparison_html, render_html
from mnist_pipeline.reporting.inputs import ReportInputs, RunFacts
from mnist_pipeline.reporting.markdown import code, escape, render_markdown
from mnist_pipeline.runs.training_history import Layer
from tests.support.reports import NAMES, make_inputs, sample_evaluation, sample_history, sample_verdict

Make = Callable[..., ReportInputs]
VOID = {"meta", "link", "img", "br", "col"}


class Page(HTMLParser):
    """Every element with its attributes, and the text of chosen ones."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.headings: list[tuple[int, str]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append((int(tag[1]), ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if self.open and re.fullmatch("h[1-6]", self.open[-1]):
            level, text = self.headings[-1]
            self.headings[-1] = (level, text + data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def shape(self) -> list[str]:
        return [tag for tag, _ in self.elements]


def normalized(page: str) -> str:
    """The page without what depends on the versions of matplotlib, zlib and this package, and without its style."""
    page = re.sub(r"<style>.*?</style>", "<style/>", page, flags=re.DOTALL)
    page = re.sub(r"'sha256-[^']+'", "'sha256-...'", page)
    page = re.sub(r"<svg [^>]*?aria-label=(\"[^\"]*\")[^>]*>.*?</svg>", r"<svg aria-label=\1/>", page, flags=re.DOTALL)
    page = re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]+", "data:image/png;base64,...", page)
    return re.sub(r"(generator\" content=\"mnist-pipeline|Drawn by mnist-pipeline) [^\s\"]+", r"\1 VERSION", page)


@pytest.fixture(scope="module")
def promoted() -> str:
    return render_html(make_inputs())


@pytest.fixture(scope="module")
def bare_inputs() -> ReportInputs:
    """All that can be absent is: champion, images, validation rows, latency, record; and the dataset fell back."""
    return make_inputs(
        run=RunFacts("20261121T100000-000000"),
        evaluation=sample_evaluation(fallback=True, dataset="digits", latency=[], rejection=None),
        history=sample_history(2, held_out=False, batches=5),
        verdict=sample_verdict(promoted=False),
        comparison=None,
        images={},
        labels={},
        class_counts={},
    )


def test_markdown_is_as_agreed(bare_inputs: ReportInputs, golden: Callable[..., None]) -> None:
    golden("promoted.md", render_markdown(make_inputs()))
    golden("bare.md", render_markdown(bare_inputs))


def test_html_is_as_agreed(promoted: str, bare_inputs: ReportInputs, golden: Callable[..., None]) -> None:
    golden("promoted.html", normalized(promoted))
    golden("bare.html", normalized(render_html(bare_inputs)))


def test_comparison_is_as_agreed(golden: Callable[..., None]) -> None:
    a = make_inputs()
    b = make_inputs(evaluation=sample_evaluation(mistakes=a.evaluation.mistakes[12:]))
    golden("comparison.html", normalized(render_comparison_html(a, b)))


def test_the_same_inputs_give_the_same_bytes(promoted: str) -> None:
    assert render_html(make_inputs()) == promoted


def test_a_page_can_load_nothing(promoted: str) -> None:
    page = Page(promoted)
    [policy] = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    style = re.search(r"<style>(.*?)</style>", promoted, re.DOTALL)
    assert policy is not None
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy.split("; ") == [
        "default-src 'none'",
        "img-src data:",
        f"style-src 'sha256-{digest}'",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    assert not {"script", "iframe", "object", "embed", "form", "base"} & set(page.shape)
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    for tag, attributes in page.elements:
        assert "style" not in attributes, tag
        assert not any(name.startswith("on") for name in attributes), tag
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:")), (tag, attributes)


def test_a_page_is_built_for_assistive_technology(promoted: str) -> None:
    page = Page(promoted)
    ids = Counter(attributes["id"] for _, attributes in page.elements if "id" in attributes)
    assert [name for name, times in ids.items() if times > 1] == []
    levels = [level for level, _ in page.headings]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert {"header", "nav", "main", "footer"} <= set(page.shape)
    assert page.shape.count("caption") == page.shape.count("table") == 14
    assert all(cell.get("scope") in ("col", "row", "colgroup") for cell in page.all("th"))
    assert all(image["alt"] for image in page.all("img"))
    assert all(chart["role"] == "img" and chart["aria-label"] for chart in page.all("svg"))
    targets = {link["href"] for link in page.all("a")}
    assert targets <= {f"#{name}" for name in ids}


def test_ordinary_digits_are_shown_in_order_with_what_they_were_read_as_where_that_is_wrong(promoted: str) -> None:
    inputs = make_inputs()
    rows = [round(place * 9_999 / 49 - 0.499) for place in range(50)]
    mistakes = {mistake.row: mistake for mistake in inputs.evaluation.mistakes}
    wrong = [mistakes[row] for row in rows if row in mistakes]
    assert wrong
    part = promoted.partition('id="ordinary-images"')[2].partition("</ul>")[0]
    assert [int(row) for row in re.findall(r'alt="Test row (\d+)"', part)] == rows
    assert part.count('class="wrong"') == len(wrong)
    for mistake in wrong:
        assert f">{NAMES[mistake.true]}</span>" in part
        assert f">as {NAMES[mistake.predicted]}</span>" in part
    said = f"{50 - len(wrong)} are read right, {len(wrong)} wrong."
    assert said in promoted
    assert said in render_markdown(inputs)


def test_sections_stand_in_their_order(promoted: str) -> None:
    titles = [text.strip() for level, text in Page(promoted).headings if level == 2]
    assert titles == [
        "Verdict",
        "Input",
        "Model",
        "Training",
        "Test digits",
        "Classes",
        "Mistakes",
        "Confidence",
        "Against the champion",
        "Proof and lineage",
    ]


def test_the_worst_report_stays_small() -> None:
    confusion = [[100 for _ in range(10)] for _ in range(10)]
    inputs = make_inputs(
        evaluation=sample_evaluation(confusion), history=sample_history(100, batches=860), comparison=None
    )
    assert len(inputs.evaluation.mistakes) == 9_000
    page = render_html(inputs)
    assert len(page.encode()) < 3_000_000
    assert "The first 60 of 9,000" in page


def test_what_is_absent_is_said(bare_inputs: ReportInputs) -> None:
    page = render_html(bare_inputs)
    header = page[: page.index("<h1>")]
    assert "Not the dataset that was asked for." in header
    assert "“digits” stood in for it" in header
    for sentence in (
        "There was no champion to compare with.",
        "The dataset is not at hand: no image can be shown.",
        "Epoch 2 was kept without a test of overfitting: no validation rows were held out.",
        "Not measured.",
        "The model states no limits for “no digit”, because nothing was held out to choose them on.",
    ):
        assert sentence in page
    text = render_markdown(bare_inputs)
    assert text.index("Not the dataset that was asked for.") < text.index("Test images right")


def test_an_ensemble_is_told_by_its_members() -> None:
    one = sample_history(24)
    members = range(1, 13)
    layers = [
        layer.model_copy(update={"name": f"member_{member}/{layer.name}"}) for member in members for layer in one.layers
    ]
    average = Layer(name="probabilities", kind="Average", output_shape=[None, 10], parameters=0, trainable=False)
    several = {
        "layers": [*layers, average],
        "parameters": 12 * 5_994,
        "epochs": [epoch.model_copy(update={"member": (epoch.epoch + 1) // 2}) for epoch in one.epochs],
        "best_epochs": [2 * member for member in members],
        "config": one.config | {"views": 5},
        "validation_accuracy": 0.991,
    }
    page = render_html(make_inputs(history=one.model_copy(update=several)))
    table = page[page.index('<table id="layers">') :].split("</table>")[0]
    assert re.findall(r'<th scope="row" class="path">([^<]*)', table) == [
        *(layer.name for layer in layers[:6]),
        "probabilities",
    ]
    assert "Layers of one of the 12 members" in table
    assert "71,928" in table
    kept = re.findall(r'<tr class="kept"><th scope="row" class="n">(\d+)', page)
    assert kept == [str(2 * member) for member in members]
    assert (
        "Epochs 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22 and 24 were kept, with a validation loss of 0.0485 to 0.2084 "
        "and a validation accuracy of 96.94 % to 98.95 %. That of the saved model, which averages its members and "
        "5 views of an image, is 99.10 %."
    ).replace(" %", "\u00a0%") in page


@pytest.mark.usefixtures("undrawn")
def test_a_refusal_gives_its_reasons() -> None:
    page = render_html(make_inputs(verdict=sample_verdict(promoted=False)))
    assert "<h1>Refused</h1>" in page
    reasons = page[page.index('class="reasons"') : page.index("</ul>")]
    assert "98.95 %, asked is at least 99.50%: too low." in reasons
    assert reasons.count("<li>") == 1


@pytest.mark.usefixtures("undrawn")
def test_before_the_gate_nothing_is_claimed() -> None:
    inputs = make_inputs(verdict=None)
    assert "<h1>Not judged yet</h1>" in render_html(inputs)
    assert render_markdown(inputs).startswith("# Not judged yet")


@pytest.mark.usefixtures("undrawn")
def test_a_perfect_model_has_no_mistakes_to_show() -> None:
    perfect = [[100 if true == predicted else 0 for predicted in range(10)] for true in range(10)]
    page = render_html(make_inputs(evaluation=sample_evaluation(perfect), comparison=None))
    assert "None: every test image was read right." in page
    assert "shade-" not in page[page.index('id="confusion"') : page.index('id="mistakes"')]


@pytest.mark.usefixtures("undrawn")
def test_a_report_tells_no_password() -> None:
    source = "https://user:hunter2@mirror.example/mnist/?X-Signature=5ecret"
    inputs = make_inputs(run=RunFacts("run", config={"fetch": {"source": source, "other": None}}))
    other = make_inputs(run=RunFacts("other"))
    for page in (render_html(inputs), render_markdown(inputs), render_comparison_html(inputs, other)):
        assert "hunter2" not in page
        assert "5ecret" not in page
    assert "https://***@mirror.example/mnist/?***" in render_html(inputs)


def renamed(name: str) -> ReportInputs:
    """The sample run, in which every text that comes from data is ``name``."""
    sample = make_inputs()
    evaluation = sample_evaluation(
        class_names=[name] * 10,
        per_class=[part.model_copy(update={"name": name}) for part in sample.evaluation.per_class],
        provider=name,
        dataset=name,
    )
    run = RunFacts(
        run_id=name,
        model=name,
        version=name,
        source=name,
        record=sample.run.record,
        config={name: name},
        files={name: name},
        environment={name: name},
    )
    layers = [layer.model_copy(update={"name": name, "kind": name}) for layer in sample.history.layers]
    assert sample.comparison is not None
    assert sample.verdict is not None
    comparison = sample.comparison.model_copy(
        update={
            "champion_version": name,
            "per_class": [part.model_copy(update={"name": name}) for part in sample.comparison.per_class],
        }
    )
    checks = [check.model_copy(update={"name": name, "sentence": name}) for check in sample.verdict.checks]
    return make_inputs(
        run=run,
        evaluation=evaluation,
        history=sample.history.model_copy(update={"layers": layers, "notes": [name]}),
        comparison=comparison,
        verdict=sample.verdict.model_copy(update={"checks": checks}),
        parity=sample.parity.model_copy(update={"provider": name}),
    )


HOSTILE = [
    "</td></tr></table><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style><svg onload=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt;",
    "../../etc/passwd\n# heading\n| a | b |",
    "`code` **bold** _it_ ~~gone~~ | pipe [x](javascript:alert(1)) ![i](http://a.example/b)",
    "http://evil.example www.evil.example <http://a.example>",
    "````\n<b>",
    "$x^2$ \\| \\",
    "1. list\n- item\n> quote",
]


def test_no_text_of_the_data_becomes_html() -> None:
    hostile = " ".join(HOSTILE)
    plain = Page(render_html(renamed("plain")))
    page = Page(render_html(renamed(hostile)))
    assert page.shape == plain.shape
    assert [sorted(attributes) for _, attributes in page.elements] == [sorted(a) for _, a in plain.elements]
    assert page.texts.count(hostile) > 50


def markdown_tokens(text: str) -> list[Any]:
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    return [child for token in parser.parse(text) for child in (token, *(token.children or []))]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_text_of_the_data_becomes_markdown(hostile: str) -> None:
    plain = [token.type for token in markdown_tokens(render_markdown(renamed("plain")))]
    found = [token.type for token in markdown_tokens(render_markdown(renamed(hostile)))]
    counted = {"text", "text_special"}  # escapes split one text into several
    assert [kind for kind in found if kind not in counted] == [kind for kind in plain if kind not in counted]


def cells(text: str) -> list[str]:
    """The rendered text of each cell of a table."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    inline = [token.children or [] for token in tokens if token.type == "inline"]
    return ["".join(child.content for child in children) for children in inline]


def table(*cells: str) -> str:
    """A table of one column, with a heading."""
    return "\n".join(["| a |", "| :--- |", *(f"| {cell} |" for cell in cells)])


printable = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp", "Zs"]) | st.just(" "), min_size=1)


@settings(deadline=None)
@given(printable.map(lambda text: text.strip() or "x"))
def test_escaped_text_reads_as_it_was(text: str) -> None:
    assert cells(table(escape(text), code(text), "end")) == ["a", text, text.replace("|", "\u2223"), "end"]


@settings(deadline=None)
@given(st.text())
def test_any_text_stays_in_its_cell(text: str) -> None:
    for form in (escape(text), code(text)):
        assert len(cells(table(form, "end"))) == 3
