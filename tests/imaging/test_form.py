"""What is brought into MNIST's form has it, and what has it is known."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mnist_pipeline.data.digits import load_embedded_digits
from mnist_pipeline.imaging.form import draw, has_sprite_form, resize_only
from tests.support.drawn_ink import SIDE, large, likeness


def test_images_in_mnists_form_are_known_and_others_are_not(digits):
    assert has_sprite_form(load_embedded_digits()[0]).all()
    shrunk = [np.pad(cv2.resize(image, (14, 14), interpolation=cv2.INTER_AREA), 7) for image in digits]
    others = {
        "inverted": 255 - digits,
        "moved": np.roll(digits, 4, axis=2),
        "faint": digits // 2,
        "blank": np.zeros_like(digits),
        "noise": np.random.default_rng(0).integers(0, 256, digits.shape, np.uint8),
        "small": np.stack(shrunk),
        "lines of one pixel": np.uint8((digits > 127) & ~np.roll(digits > 127, 1, axis=2)) * 255,
    }
    for name, images in others.items():
        assert has_sprite_form(images).mean() < 0.01, name


def centre_of_mass(image: np.ndarray) -> tuple[float, float]:
    mass = image.astype(float)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    return float((mass * y).sum() / mass.sum()), float((mass * x).sum() / mass.sum())


@pytest.mark.parametrize("row", range(10))
def test_a_drawn_digit_has_mnists_form_and_looks_the_same(digits, row):
    image = draw(np.uint8(large(digits[row]) * 255))
    assert image.dtype == np.uint8
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    assert max(np.ptp(rows), np.ptp(columns)) + 1 in {19, 20}
    y, x = centre_of_mass(image)
    assert abs(y - 14) <= 0.6
    assert abs(x - 14) <= 0.6
    assert image.max() == 255
    assert likeness(image, digits[row]) > 0.85


def stroke_width(image: np.ndarray) -> float:
    """Twice the area over the length of the outline."""
    contours, _ = cv2.findContours(np.uint8(image > 127), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    return 2 * np.count_nonzero(image > 127) / sum(cv2.arcLength(contour, closed=True) for contour in contours)


def test_thin_and_thick_strokes_are_brought_near_mnists(digits):
    for row in range(8):
        pen = np.uint8(large(digits[row], factor=10) * 255)
        for change in (cv2.erode(pen, np.ones((19, 19))), cv2.dilate(pen, np.ones((9, 9)))):
            if change.max() > 127:
                assert 1.4 < stroke_width(draw(change)) < 6, row


def test_a_stroke_that_fills_its_box_stays_whole():
    assert (draw(np.full((90, 20), 255, np.uint8)).max(axis=1) > 200).sum() == 20
    assert draw(np.full((50, 50), 255, np.uint8))[14, 14] == 255


def test_a_line_thinner_than_a_pixel_of_the_form_stays_whole():
    ink = np.zeros((400, 400), np.uint8)
    ink[60:340, 199:202] = 255
    assert (draw(ink).max(axis=1) > 150).sum() >= 18


def test_thinning_leaves_no_trace_around_the_digit(digits):
    for row in (4, 7, 9):
        image = draw(cv2.dilate(np.uint8(large(digits[row]) * 255), np.ones((25, 25))))
        assert cv2.connectedComponents(np.uint8(image > 40))[0] == 2  # the paper, and one piece


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40))))
@settings(max_examples=80, deadline=None)
def test_any_ink_can_be_drawn(strength):
    image = draw(strength)
    assert image.shape == (SIDE, SIDE)
    assert image.dtype == np.uint8
    if strength.max() > 127:
        assert image.max() == 255


def test_resizing_alone_keeps_polarity_and_proportions():
    plane = np.zeros((56, 112), np.uint8)
    plane[:28] = 200
    assert resize_only(plane).tolist() == [[200] * 28] * 14 + [[0] * 28] * 14
    assert resize_only(np.full((7, 7), 9, np.uint8)).tolist() == [[9] * 28] * 28
