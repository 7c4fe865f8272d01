"""From planes to answers: a model that knows digits by their looks chooses among the readings."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from mnist_pipeline.imaging.readings import read_flat, read_further
from mnist_pipeline.inference import Answers
from mnist_pipeline.rejection.answering import answer
from tests.support.drawn_ink import Ink, box, large, on_paper, with_lines

SHOWN = (0, 2, 3, 5, 6, 7)


class Nearest:
    """Knows ten digits by heart; an image is the newer, the less it correlates with the nearest of them."""

    def __init__(self, known: NDArray[np.uint8], *, novelty: bool = True) -> None:
        self.known, self.novelty = _standardised(known), novelty
        self.asked: list[int] = []

    def answers(self, images: NDArray[np.uint8], batch_size: int = 0) -> Answers:
        assert batch_size == len(images)
        self.asked.append(len(images))
        alike = np.max([_standardised(np.roll(images, s, (1, 2))) @ self.known.T for s in SHIFTS], axis=0)
        odds = np.exp(30 * alike)
        probabilities = (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)
        return Answers(probabilities, (14 - 20 * alike.max(axis=1)).astype(np.float32) if self.novelty else None)


SHIFTS = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]


def _standardised(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    flat = images.reshape(len(images), -1).astype(float)
    flat -= flat.mean(axis=1, keepdims=True)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9)


@pytest.fixture(scope="module")
def known(digits) -> NDArray[np.uint8]:
    """uint8 [10, 28, 28]: one of each digit, in their order."""
    images, labels = digits.images, digits.labels
    return images[[int(np.flatnonzero(labels == digit)[0]) for digit in range(10)]]


@pytest.fixture
def model(known) -> Nearest:
    return Nearest(known)


def circled(ink: Ink) -> NDArray[np.uint8]:
    left, top, right, bottom = box(ink)
    x, y, radius = (left + right) / 2, (top + bottom) / 2, np.hypot(right - left, bottom - top) * 0.62
    angles = np.linspace(0, 2 * np.pi, 60)
    return on_paper(with_lines(ink, tuple((x + radius * np.cos(a), y + radius * np.sin(a)) for a in angles)))


def underlined(ink: Ink) -> NDArray[np.uint8]:
    left, _, right, bottom = box(ink)
    return on_paper(with_lines(ink, ((left - 20, bottom + 15), (right + 20, bottom + 15))))


def on_a_dark_table(ink: Ink) -> NDArray[np.uint8]:
    return np.pad(on_paper(ink), 80, constant_values=50)


def in_a_shadow(ink: Ink) -> NDArray[np.uint8]:
    edge = np.add.outer(np.arange(ink.shape[0]), np.arange(ink.shape[1])) < ink.shape[1] * 0.9
    return (on_paper(ink) * np.where(edge, 0.5, 1)).astype(np.uint8)


FORMS = [on_paper, circled, underlined, on_a_dark_table, in_a_shadow]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_digits_are_read_in_every_form(known, model, form: Callable[[Ink], NDArray[np.uint8]]):
    found = answer([form(large(known[digit], margin=60)) for digit in SHOWN], model)
    assert [int(one.probabilities.argmax()) for one in found] == list(SHOWN)
    assert [one.reason for one in found] == [""] * len(SHOWN)
    assert max(one.novelty for one in found) < 0
    for one, digit in zip(found, SHOWN, strict=True):
        assert np.corrcoef(one.image.ravel(), known[digit].ravel())[0, 1] > 0.6


def test_a_sure_flat_reading_is_final(known, model):
    answer([on_paper(large(known[digit])) for digit in SHOWN], model)
    assert model.asked == [len(SHOWN)]


def test_the_other_readings_are_asked_about_and_the_flat_one_is_not_asked_about_again(known, model):
    plane = circled(large(known[3], margin=60))
    flat = read_flat(plane)
    others = {reading.image.tobytes() for reading in read_further(plane)} - {flat.image.tobytes()}
    answer([plane], model)
    assert model.asked == [1, len(others)]
    assert len(others) > 3


def test_blanks_ask_nothing(model):
    found = answer([np.full((50, 40), 200, np.uint8)] * 2, model)
    assert [one.reason for one in found] == ["blank", "blank"]
    assert not any(one.probabilities.any() or one.image.any() for one in found)
    assert model.asked == []
    assert answer([], model) == []


def test_order_and_company_change_nothing(known, model):
    planes = [form(large(known[digit], margin=60)) for form in FORMS for digit in SHOWN]
    planes.insert(5, np.zeros((9, 9), np.uint8))
    together = answer(planes, model)
    for plane, one in zip(planes, together, strict=True):
        (alone,) = answer([plane], model)
        assert (alone.reason, alone.novelty) == (one.reason, one.novelty)
        assert (alone.probabilities == one.probabilities).all()
        assert (alone.image == one.image).all()


def test_a_model_without_novelty_is_asked_about_the_flat_reading(known):
    model = Nearest(known, novelty=False)
    found = answer([on_paper(large(known[5])), on_paper(np.hstack([large(known[5]), large(known[2])]))], model)
    assert [one.reason for one in found] == ["", "several"]
    assert found[0].novelty == -np.inf
    assert found[0].probabilities.argmax() == 5
    assert model.asked == [2]
