"""What reports and model cards say of the own-test images, and of test images that were used often."""

import numpy as np
import pytest

from mnist_pipeline.evaluation import metrics
from mnist_pipeline.evaluation.schema import OwnTest
from mnist_pipeline.registry.card import render_card
from mnist_pipeline.reporting.html import render_html
from mnist_pipeline.reporting.markdown import render_markdown
from tests.support import samples
from tests.support.reports import NAMES, make_inputs, sample_evaluation, sample_verdict

pytestmark = pytest.mark.quick
NBSP = "\N{NO-BREAK SPACE}"


@pytest.fixture(scope="module")
def own_test() -> OwnTest:
    """Of 20 Sevens one is taken for a One and one is refused; of 12 images without a digit one is taken for a 0."""
    matrix = [[20 * (true == answer) for answer in range(11)] for true in range(11)]
    matrix[7][7], matrix[7][1], matrix[7][10] = 18, 1, 1
    matrix[10][10], matrix[10][0] = 11, 1
    return OwnTest(
        samples=212,
        accuracy=209 / 212,
        accuracy_interval=metrics.wilson_interval(209, 212),
        per_class=metrics.per_class(np.array(matrix), [*NAMES, "No digit"]),
        confusion_matrix=matrix,
        digits=200,
        digits_refused=1,
        no_digits=12,
        no_digits_refused=11,
        mistakes=[],
    )


@pytest.mark.usefixtures("undrawn")
def test_reports_say_how_own_images_are_answered(own_test):
    inputs = make_inputs(evaluation=sample_evaluation(own_test=own_test))
    sentence = (
        f"Of the 212 own-test images, none of which was trained on, 98.58{NBSP}% are answered right (95 % interval "
        f"95.92{NBSP}% to 99.52{NBSP}%). Of 200 that show a digit, 1 are refused; of 12 that show none, 11."
    )
    markdown = render_markdown(inputs)
    assert sentence in markdown
    assert f"| Seven | 90.00{NBSP}% | 20 | 100.00{NBSP}% |" in markdown
    html = render_html(inputs)
    assert sentence in html
    assert 'id="own-test"' in html
    assert "own-test" not in render_html(make_inputs())


@pytest.mark.usefixtures("undrawn")
def test_reports_say_what_repeated_use_of_the_test_images_does_to_the_accuracy():
    verdict = sample_verdict().model_copy(update={"compared": 18, "corrected_accuracy": 0.9881})
    sentence = (
        "18 candidates were compared on these test images so far. Corrected for that, the accuracy on other images is "
        f"likely 98.81{NBSP}%."
    )
    inputs = make_inputs(verdict=verdict)
    assert sentence in render_html(inputs)
    assert sentence in render_markdown(inputs)
    assert "Corrected for that" not in render_html(make_inputs())


def test_the_model_card_says_both(own_test):
    facts = samples.facts(accuracy=0.98123)
    gate = facts.gate.model_copy(update={"compared": 18, "corrected_accuracy": 0.9789})
    facts = facts.model_copy(update={"gate": gate})
    evaluation = sample_evaluation(own_test=own_test).model_dump(mode="json")
    card = " ".join(render_card("mnist", "0" * 12, "f" * 64, facts, evaluation).split())
    assert "18 candidates were compared on these images; corrected for that, the accuracy on other images" in card
    assert "is likely 0.9789." in card
    assert "trained on: 0.9858 of 212 answered right; 1 of 200 digits refused, " in card
    assert "digits refused, and 11 of 12 images without a digit." in card
