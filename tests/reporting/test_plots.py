"""The charts: what they show, and that they are the same wherever they are drawn."""

import io
import math
import re
import sys
from functools import partial
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from mnist_pipeline.errors import MissingExtraError
from mnist_pipeline.evaluation.schema import Evaluation
from mnist_pipeline.reporting import plots
from mnist_pipeline.reporting.inputs import ordinary_rows
from mnist_pipeline.runs.training_history import TrainingHistory, Validation
from tests.support.reports import make_inputs, sample_evaluation, sample_history


@pytest.fixture(scope="module")
def history() -> TrainingHistory:
    return sample_history()


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return sample_evaluation()


def texts(svg: str) -> list[str]:
    return ["".join(node.itertext()).strip() for node in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_accuracy_runs_from_zero_to_one(history: TrainingHistory) -> None:
    for chart in (plots.accuracy_by_epoch, plots.accuracy_by_batch):
        [axes] = chart(history, plots.PAPER).axes
        low, high = axes.get_ylim()
        assert low == 0
        assert 1 <= high <= 1.05


def test_what_lies_too_close_to_one_is_magnified(history: TrainingHistory) -> None:
    assert "magnified: 0.98 to 1" in texts(plots.to_svg(partial(plots.accuracy_by_epoch, history), "x"))
    poor = [epoch.model_copy(update={"accuracy": 0.5, "val_accuracy": 0.4}) for epoch in history.epochs]
    drawn = plots.to_svg(partial(plots.accuracy_by_epoch, history.model_copy(update={"epochs": poor})), "x")
    assert not any(text.startswith("magnified") for text in texts(drawn))
    few = sample_history(2)
    assert not any("magnified" in text for text in texts(plots.to_svg(partial(plots.accuracy_by_epoch, few), "x")))


def test_curves_hold_the_recorded_numbers(history: TrainingHistory) -> None:
    [axes] = plots.loss_by_epoch(history, plots.PAPER).axes
    train, validation, kept = axes.get_lines()
    assert list(train.get_ydata()) == [epoch.loss for epoch in history.epochs]
    assert list(validation.get_ydata()) == [epoch.val_loss for epoch in history.epochs]
    assert (list(kept.get_xdata()), list(kept.get_ydata())) == ([9], [history.epochs[8].val_loss])


def test_without_validation_rows_there_is_one_curve() -> None:
    drawn = texts(plots.to_svg(partial(plots.loss_by_epoch, sample_history(3, held_out=False)), "x"))
    assert "train" in drawn
    assert "kept epoch" in drawn
    assert "validation" not in drawn


def test_the_members_of_an_ensemble_are_lines_of_their_own(history: TrainingHistory) -> None:
    epochs = [epoch.model_copy(update={"member": 1 + (epoch.epoch > 6)}) for epoch in history.epochs]
    ensemble = history.model_copy(update={"epochs": epochs, "best_epochs": [4, 9]})
    [axes] = plots.loss_by_epoch(ensemble, plots.PAPER).axes
    train, _, kept = axes.get_lines()
    assert [math.isnan(value) for value in train.get_ydata()] == [False] * 6 + [True] + [False] * 4
    assert list(kept.get_xdata()) == [4, 9]


def test_many_batches_are_drawn_with_their_mean() -> None:
    history = sample_history(2, batches=300)
    [axes] = plots.loss_by_batch(history, plots.PAPER).axes
    each, mean = axes.get_lines()
    loss = np.array(history.batches.loss)
    assert np.array_equal(each.get_ydata(), loss)
    assert mean.get_label() == "mean of the last 10"
    assert mean.get_ydata()[99] == pytest.approx(loss[90:100].mean())
    assert mean.get_ydata()[2] == pytest.approx(loss[:3].mean())


def test_validations_between_epochs_are_drawn() -> None:
    measured = [Validation(batch=batch, loss=2 / batch, accuracy=1 - 1 / batch) for batch in (5, 10, 15)]
    history = sample_history(1, batches=15).model_copy(update={"validations": measured})
    [axes] = plots.accuracy_by_batch(history, plots.PAPER).axes
    _, validation = axes.get_lines()
    assert list(validation.get_xdata()) == [5, 10, 15]
    assert list(validation.get_ydata()) == [0.8, 0.9, 1 - 1 / 15]
    assert {"each batch", "validation"} <= set(texts(plots.to_svg(partial(plots.loss_by_batch, history), "x")))


@pytest.mark.parametrize("epochs", [0, 1])
def test_the_shortest_trainings_can_be_drawn(epochs: int) -> None:
    history = sample_history(1, batches=1)
    if not epochs:
        history = history.model_copy(update={"epochs": []})
    assert plots.to_png(partial(plots.learning_curves, history)).startswith(b"\x89PNG")
    assert "epoch" in texts(plots.to_svg(partial(plots.learning_rate, history), "x"))


def test_every_count_of_the_confusion_matrix_is_printed(evaluation: Evaluation) -> None:
    [axes] = plots.confusion_matrix(evaluation, plots.PAPER).axes
    printed = {text.get_position(): text for text in axes.texts}
    for true, row in enumerate(evaluation.confusion_matrix):
        for predicted, number in enumerate(row):
            text = printed[predicted, true]  # x is the prediction, y the truth
            assert text.get_text() == str(number)
            assert text.get_fontweight() == ("bold" if true == predicted else "normal")
            assert text.get_color() == (plots.PAPER.ink if number else plots.PAPER.muted)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")
    assert axes.get_ylim() == (9.5, -0.5)


def test_the_threshold_of_scoring_is_marked(evaluation: Evaluation) -> None:
    marked = plots.to_svg(partial(plots.coverage, evaluation, 0.6182), "x")
    assert "scoring uses 0.618" in texts(marked)
    assert plots.PAPER.mark in marked
    assert plots.PAPER.mark not in plots.to_svg(partial(plots.coverage, evaluation, None), "x")


def test_a_class_name_is_no_formula_and_no_markup(evaluation: Evaluation) -> None:
    names = ["$x^2$", "<b>&", "long " * 20, *evaluation.class_names[3:]]
    hostile = evaluation.model_copy(update={"class_names": names})
    drawn = texts(plots.to_svg(partial(plots.confusion_matrix, hostile), "x"))
    assert {"0 $x^2$", "1 <b>&"} <= set(drawn)
    assert max(len(text) for text in drawn) <= 18


def test_ordinary_digits_stand_side_by_side_each_above_its_class(evaluation: Evaluation) -> None:
    inputs = make_inputs()
    figure = plots.test_digits(inputs, plots.PAPER)
    [axes] = figure.axes
    sheet = np.asarray(axes.images[0].get_array(), dtype=float)
    for place, row in enumerate(ordinary_rows(inputs.evaluation)):
        x, y = (round(value) for value in axes.texts[place].get_position())
        assert np.array_equal(sheet[y - 33 : y - 5, x - 14 : x + 14], inputs.images[row])
    captions = [text.get_text() for text in axes.texts]
    assert captions[:3] == ["Zero", "Four", "Eight"]
    assert [caption for caption in captions if " " in caption] == ["Nine as Seven"]


def test_drawings_are_repeatable(evaluation: Evaluation, history: TrainingHistory) -> None:
    digits = partial(plots.test_digits, make_inputs())
    for draw in (partial(plots.reliability, evaluation), partial(plots.learning_curves, history), digits):
        assert plots.to_svg(draw, "name") == plots.to_svg(draw, "name")
        assert plots.to_png(draw) == plots.to_png(draw)
    assert b"<dc:date>" not in plots.to_svg(partial(plots.reliability, evaluation), "name").encode()


def test_the_settings_of_the_user_neither_matter_nor_change(evaluation: Evaluation) -> None:
    import matplotlib as mpl

    draw = partial(plots.reliability, evaluation)
    expected = plots.to_svg(draw, "name")
    with mpl.rc_context({"font.size": 30, "svg.fonttype": "path", "lines.linewidth": 9, "axes.grid": True}):
        before = dict(mpl.rcParams)
        assert plots.to_svg(draw, "name") == expected
        assert dict(mpl.rcParams) == before


def test_a_chart_in_a_page_takes_its_colours_from_the_page(evaluation: Evaluation) -> None:
    chart = plots.to_inline_svg(partial(plots.coverage, evaluation, 0.5), "name", 'label "with" <quotes>')
    root = ET.fromstring(chart)
    assert root.get("role") == "img"
    assert root.get("aria-label") == 'label "with" <quotes>'
    assert {"var(--chart-first)", "var(--chart-second)", "var(--chart-mark)"} <= set(re.findall(r"var\([^)]*\)", chart))
    assert not re.findall(r"#[0-9a-f]{6}\b", chart)
    assert "style" not in chart
    assert root.get("width") is None
    assert root.get("viewBox") == "0 0 316.8 266.4"


def test_charts_in_one_page_share_no_identifier(history: TrainingHistory, evaluation: Evaluation) -> None:
    charts = (
        plots.to_inline_svg(partial(plots.loss_by_epoch, history), "one", "x"),
        plots.to_inline_svg(partial(plots.loss_by_epoch, history), "two", "x"),
    )
    one, two = (set(re.findall(r' id="([^"]+)"', chart)) for chart in charts)
    assert one
    assert not one & two
    for chart, ids in zip(charts, (one, two), strict=True):
        used = set(re.findall(r'(?:href="|url\()#([^")]+)', chart))
        assert used
        assert used <= ids


def test_png_is_sharp_and_white(evaluation: Evaluation) -> None:
    with Image.open(io.BytesIO(plots.to_png(partial(plots.confusion_matrix, evaluation)))) as image:
        assert image.width >= 800
        assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)


def test_without_matplotlib_the_extra_is_named(history: TrainingHistory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mnist-pipeline\[report\]'"):
        plots.to_png(partial(plots.learning_curves, history))
