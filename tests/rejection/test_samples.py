"""The pictures that the network for "no digit" is shown: their form, their classes, the same for the same seed."""

import string

import numpy as np
import pytest

from mnist_pipeline.data.dataset import Dataset
from mnist_pipeline.imaging.drawing import CANVAS, draw_strokes, in_form, moved
from mnist_pipeline.rejection import negatives
from mnist_pipeline.rejection.classes import NONE
from mnist_pipeline.rejection.glyphs import LIKE_DIGITS_ROMAN, load_glyphs
from mnist_pipeline.rejection.samples import draw_samples


@pytest.fixture(scope="module")
def train(digits_dataset):
    return Dataset.open(digits_dataset.directory).train


@pytest.fixture(scope="module")
def samples(train):
    return draw_samples(train.images, train.labels, 200, np.random.default_rng(3))


def test_digits_of_each_class_and_as_many_pictures_that_are_none(samples):
    assert samples.images.dtype == samples.classes.dtype == np.uint8
    assert samples.images.shape == (len(samples.classes), 28, 28)
    counts = np.bincount(samples.classes, minlength=NONE + 1)
    assert (counts[:NONE] > 20).all()
    assert 0.4 < counts[NONE] / len(samples.classes) < 0.6


def test_every_picture_has_mnists_form(samples):
    drawn = samples.images.astype(np.float32)
    mass = drawn.sum(axis=(1, 2))
    assert (mass > 0).all()
    assert (samples.images.reshape(len(drawn), -1).max(axis=1) >= 200).all()
    for axis in (1, 2):
        centre = (drawn.sum(axis=3 - axis) * np.arange(28)).sum(axis=1) / mass
        assert np.quantile(np.abs(centre - 14), 0.95) <= 0.55  # a few reach beyond the image and are moved inward
        used = drawn.any(axis=3 - axis)
        assert (used.argmax(axis=1) + used[:, ::-1].argmax(axis=1) >= 28 - 20).all()


def test_the_same_numbers_draw_the_same_pictures(train):
    one, again, other = (
        draw_samples(train.images, train.labels, 50, np.random.default_rng(seed)) for seed in (3, 3, 4)
    )
    assert np.array_equal(again.images, one.images)
    assert np.array_equal(again.classes, one.classes)
    assert not np.array_equal(other.images[:100], one.images[:100])


def test_the_glyphs_hold_digits_of_each_class_and_nothing_that_looks_like_one():
    glyphs = load_glyphs()
    assert all(len(of_class) >= 10 for of_class in glyphs.digits)
    assert len(glyphs.others) > 1_000
    one = glyphs.digits[1][0]
    assert not any(len(other) == len(one) and all(map(np.array_equal, other, one)) for other in glyphs.others)
    assert set("OIlSZ") < LIKE_DIGITS_ROMAN
    assert not LIKE_DIGITS_ROMAN & set(string.digits)


@pytest.mark.parametrize("kind", list(negatives.KINDS))
def test_each_kind_draws_ink_and_changes_the_digit(kind, train):
    random = np.random.default_rng(5)
    rows = iter(range(100))

    def pick(*but: int):
        row = next(row for row in rows if train.labels[row] not in but)
        return negatives.drawing.enlarge(train.images[row]), int(train.labels[row])

    for _ in range(5):
        canvas = negatives.KINDS[kind](pick, random)
        assert max(canvas.shape) >= CANVAS / 2
        assert canvas.dtype == np.uint8
        assert in_form(canvas) is not None


def test_half_a_one_and_a_barred_seven_are_never_called_none(train):
    """Those are digits as people write them: the kinds that would make them do not pick these classes."""
    asked: list[tuple[int, ...]] = []

    def pick(*but: int):
        asked.append(but)
        return negatives.drawing.enlarge(train.images[0]), int(train.labels[0])

    random = np.random.default_rng(6)
    negatives.cut(pick, random)
    negatives.struck_out(pick, random)
    assert 1 in asked[0]
    assert {0, 2, 7} <= set(asked[1])


def test_a_stroke_is_drawn_as_wide_as_asked_and_in_the_middle():
    canvas = draw_strokes([np.array([[0, 0], [0, 10]], np.float32)], 8)
    rows, columns = np.nonzero(canvas > 127)
    assert columns.max() - columns.min() + 1 == pytest.approx(8, abs=1)
    assert (rows.max() + rows.min()) / 2 == pytest.approx(CANVAS / 2, abs=1)
    assert rows.max() - rows.min() + 1 == pytest.approx(88, abs=3)  # 80 long, and the pen's two round ends


def test_images_are_moved_a_little_each_in_its_own_way(train):
    images = np.repeat(train.images[:5], 20, axis=0)
    moved_ones = moved(images, np.random.default_rng(1))
    assert moved_ones.dtype == np.uint8
    assert moved_ones.shape == images.shape
    assert np.array_equal(moved_ones, moved(images, np.random.default_rng(1)))
    assert len({image.tobytes() for image in moved_ones}) == len(images)
    before, after = centres(images), centres(moved_ones)
    assert np.abs(after - before).max() < 1.6
    assert np.abs((after - before).mean(axis=0)).max() < 0.3
    ink = moved_ones.sum(axis=(1, 2)) / images.sum(axis=(1, 2), dtype=float)
    assert ink.min() > 0.8
    assert ink.max() < 1.2
    assert not moved(np.zeros((2, 28, 28), np.uint8), np.random.default_rng(2)).any()


def centres(images):
    """float [n, 2]: centres of mass, y and x."""
    weights = images / images.sum(axis=(1, 2), keepdims=True, dtype=float)
    return np.stack([(weights.sum(axis=3 - axis) * np.arange(28)).sum(axis=1) for axis in (1, 2)], axis=1)
