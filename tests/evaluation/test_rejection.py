"""The rule for "no digit": what it costs on real digits, and what it finds among other pictures."""

import string

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from mnist_pipeline.data.dataset import Dataset
from mnist_pipeline.errors import IntegrityError
from mnist_pipeline.rejection.fitting import LEAST_ROWS, fit_network
from mnist_pipeline.rejection.limits import UNSURE_SHARE, choose_rejection
from mnist_pipeline.rejection.negatives import draw_negatives, draw_strokes, in_form
from mnist_pipeline.rejection.novelty import FEATURES, Novelty, describe, read_novelty

LIKE_DIGITS = "OIlSZBgqoisz"
"""Letters that are written as 0, 1, 5, 2, 8 or 9 are."""


@pytest.fixture(scope="module")
def data(digits_dataset):
    return Dataset.open(digits_dataset.directory, validation_rows=287)


@pytest.fixture(scope="module")
def probabilities(data, linear_models):
    weights = linear_models.fit(data.train.images, data.train.labels, 60)
    return linear_models.predict(weights, data.validation.images).astype(np.float32)


@pytest.fixture(scope="module")
def chosen(data, probabilities):
    return choose_rejection(data.train, data.validation, probabilities, 0.02)


def letters() -> np.ndarray:
    """uint8 [n, 28, 28] in MNIST's form: letters of Pillow's own font that are not written like digits."""
    drawn = []
    for letter in string.ascii_letters:
        if letter in LIKE_DIGITS:
            continue
        image = Image.new("L", (28, 28))
        font = ImageFont.load_default(22)
        ImageDraw.Draw(image).text((14, 14), letter, fill=255, font=font, anchor="mm", stroke_width=1)
        drawn.append(np.asarray(image, np.float32) / 255)
    return np.rint(in_form(np.stack(drawn)) * 255).astype(np.uint8)


def test_the_budget_of_right_answers_is_kept_by_both_rules_together(chosen, data, probabilities):
    right = probabilities.argmax(axis=1) == data.validation.labels
    unsure = probabilities.max(axis=1) < chosen.threshold
    strange = chosen.novelty.strangeness(data.validation.images) > chosen.novelty.threshold
    rate = (unsure | strange)[right].mean()
    assert chosen.false_reject_rate == pytest.approx(rate)
    assert rate <= chosen.target == 0.02
    assert (unsure | strange)[right].sum() == int(0.02 * right.sum())  # and it is used up
    less_sure = probabilities.max(axis=1)[right] < chosen.novelty.sure
    assert less_sure.mean() == pytest.approx(UNSURE_SHARE, abs=0.01)


def test_most_letters_are_strange_and_test_digits_are_not(chosen, data):
    of_letters = chosen.novelty.strangeness(letters()) > chosen.novelty.threshold
    of_digits = chosen.novelty.strangeness(data.test.images) > chosen.novelty.threshold
    assert of_letters.mean() > 0.6
    assert of_digits.mean() < 0.05


def test_strokes_turned_and_joined_digits_are_strange(chosen, data):
    random = np.random.default_rng(99)  # not the pictures that it was fitted on
    digits = data.validation.images.astype(np.float32) / 255
    for name, pictures in {
        "strokes": in_form(draw_strokes(300, 4, 0.8, random)),
        "all kinds": draw_negatives(digits, data.validation.labels, 50, random),
    }.items():
        strangeness = chosen.novelty.strangeness(np.rint(pictures * 255).astype(np.uint8))
        assert (strangeness > chosen.novelty.threshold).mean() > 0.7, name


def test_negatives_have_mnists_form(data):
    digits = data.train.images.astype(np.float32) / 255
    pictures = draw_negatives(digits, data.train.labels, 40, np.random.default_rng(1))
    assert len(pictures) > 0.95 * 12 * 40
    assert 0 <= pictures.min() <= pictures.max() <= 1
    mass = pictures.sum(axis=(1, 2))
    for axis in (1, 2):
        centre = (pictures.sum(axis=3 - axis) * np.arange(28)).sum(axis=1) / mass
        assert np.quantile(np.abs(centre - 14), 0.95) < 0.5  # a few reach beyond the image and are cut off
        assert abs(np.median(centre) - 14) < 0.1


def test_the_same_rows_give_the_same_rule(data):
    one, other = (fit_network(data.train.images[:600], data.train.labels[:600]) for _ in range(2))
    assert one is not None
    assert other is not None
    assert np.array_equal(one[0], other[0])
    assert np.array_equal(one[1], other[1])
    assert one[2] == 600


def test_too_few_rows_leave_the_confidence_alone(data, probabilities):
    few = Dataset(data.card, data.images, data.labels, data.train_rows[: LEAST_ROWS - 1], data.validation_rows)
    found = choose_rejection(few.train, data.validation, probabilities, 0.02)
    assert found is not None
    assert found.novelty is None
    assert 0 < found.false_reject_rate <= 0.02


def test_edges_are_counted_by_direction_and_place():
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, 8:20, 14:] = 255  # a block whose left edge is upright
    cells = describe(image).reshape(7, 7, 8)
    assert cells.shape[0] ** 2 * cells.shape[2] == FEATURES
    assert cells[3, 3].argmax() == 0  # brighter to the right
    assert describe(255 - image).reshape(7, 7, 8)[3, 3].argmax() == 4
    assert describe(image.swapaxes(1, 2)).reshape(7, 7, 8)[3, 3].argmax() == 2
    assert not cells[:, 0].any()
    assert describe(np.roll(image, 4, axis=2)).reshape(7, 7, 8)[3, 4].argmax() == 0


@pytest.mark.parametrize("weights", ["", "AAAA", "not base64", "A" * 68_981])
def test_a_broken_rule_is_refused(weights):
    broken = Novelty(hidden=64, weights=weights, threshold=0, sure=1, rows=1)
    with pytest.raises(IntegrityError, match="no digit is broken"):
        broken.strangeness(np.zeros((1, 28, 28), np.uint8))


def test_an_older_evaluation_has_no_rule_and_a_foreign_one_is_refused(chosen):
    assert read_novelty(None) is None
    assert read_novelty({"threshold": 0.5}) is None
    assert read_novelty(chosen.model_dump(mode="json")) == chosen.novelty
    with pytest.raises(IntegrityError, match="broken"):
        read_novelty({"novelty": {"hidden": "many"}})
