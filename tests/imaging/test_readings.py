"""Every way to hand in a digit has a reading that shows it, and what is not one digit has an objection or none."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from mnist_pipeline.imaging.levels import fit_within
from mnist_pipeline.imaging.readings import PENALTIES, Reading, read_flat, read_further
from tests.support.drawn_ink import Ink, box, large, likeness, on_paper, with_lines

Plane = NDArray[np.uint8]
CLEAR = [0, 2, 3, 5, 6, 7, 8, 9]
"""Digits whose readings cannot be taken for each other's."""


def readings(plane: Plane) -> list[Reading]:
    first = read_flat(plane)
    return ([] if first is None else [first]) + read_further(plane)


def flat(plane: Plane) -> Reading:
    found = read_flat(plane)
    assert found is not None
    return found


def best_likeness(plane: Plane, expected: Plane) -> tuple[float, str]:
    """Of the readings without an objection, the one that is most like what is expected, and its kind."""
    found = [(likeness(reading.image, expected), reading.kind) for reading in readings(plane) if not reading.objection]
    return max(found, default=(0.0, "none"))


@pytest.mark.parametrize("row", CLEAR)
def test_polarity_light_noise_and_place_do_not_matter(digits, row):
    ink = large(digits[row])
    expected = flat(on_paper(ink)).image
    random = np.random.default_rng(row)
    height, width = ink.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    paper = on_paper(ink).astype(float)
    versions = {
        "inverted": 255 - paper,
        "faint": on_paper(ink, pen=190),
        "gradient": paper * (1 - 0.3 * x - 0.2 * y * y),
        "noise": paper + random.normal(0, 8, paper.shape),
        "off centre": np.pad(paper, ((90, 0), (0, 120)), constant_values=230),
        "framed": np.pad(paper, 6, constant_values=20),
        "shadow": np.where(np.arange(width) < width // 8, 0.6, 1.0) * paper,
        "sharp shadow through it": np.where(np.add.outer(np.arange(height), np.arange(width)) < width, 0.55, 1) * paper,
    }
    for name, plane in versions.items():
        alike, kind = best_likeness(np.clip(plane, 0, 255).astype(np.uint8), expected)
        assert alike > 0.9, (name, kind)


def circle(ink: Ink, *, reach: float = 1.25, sweep: float = 360) -> Ink:
    left, top, right, bottom = box(ink)
    x, y, radius = (left + right) / 2, (top + bottom) / 2, np.hypot(right - left, bottom - top) / 2 * reach
    angles = np.radians(np.linspace(40, 40 + sweep, 60))
    return with_lines(ink, tuple((x + radius * np.cos(a), y + radius * np.sin(a)) for a in angles))


def rectangle(ink: Ink, gap: int = 18) -> Ink:
    left, top, right, bottom = box(ink)
    x0, y0, x1, y1 = left - gap, top - gap, right + gap, bottom + gap
    return with_lines(ink, ((x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)))


def ruled(ink: Ink) -> Ink:
    height, width = ink.shape
    return with_lines(ink, *(((0, y), (width, y + 3)) for y in range(15, height, 47)), width=3)


def underlined(ink: Ink) -> Ink:
    left, _, right, bottom = box(ink)
    return with_lines(ink, ((left - 20, bottom + 16), (right + 20, bottom + 18)))


def cell(ink: Ink) -> Ink:
    left, top, right, bottom = box(ink)
    height, width = ink.shape
    level = [((0, y), (width, y)) for y in (top - 12, bottom + 12)]
    return with_lines(ink, *level, *(((x, 0), (x, height)) for x in (left - 14, right + 14)), width=3)


def hollow(ink: Ink) -> Ink:
    filled = np.uint8(ink * 255)
    return np.asarray(cv2.dilate(filled, np.ones((7, 7))) - filled, np.float32) / 255


def dotted(ink: Ink) -> Ink:
    y, x = np.mgrid[: ink.shape[0], : ink.shape[1]]
    return np.asarray(ink * (np.hypot(y % 10 - 4.5, x % 10 - 4.5) < 4), np.float32)


def enclosed(plane: Plane, ground: int) -> Plane:
    height, width = plane.shape
    return np.pad(plane, ((height // 3, height // 4), (width // 4, width // 3)), constant_values=ground)


FORMS: dict[str, tuple[Callable[[Ink], Plane], str]] = {
    "in a circle": (lambda ink: on_paper(circle(ink)), "inside"),
    "in an open circle": (lambda ink: on_paper(circle(ink, sweep=320)), "inside"),
    "in a box": (lambda ink: on_paper(rectangle(ink)), "lines"),
    "in a cell of a table": (lambda ink: on_paper(cell(ink)), "inside"),
    "on a note on a dark table": (lambda ink: enclosed(on_paper(ink), 60), "inside"),
    "on a dark canvas on a page": (lambda ink: enclosed(255 - on_paper(ink, paper=255, pen=0), 255), "inside"),
    "on a white card on black": (lambda ink: enclosed(on_paper(ink), 0), "inside"),
    "on ruled paper": (lambda ink: on_paper(ruled(ink)), "lines"),
    "underlined": (lambda ink: on_paper(underlined(ink)), "lines"),
    "in dots": (lambda ink: on_paper(dotted(ink)), "joined"),
    "small on a large page": (lambda ink: on_paper(np.pad(ink, 700)[::2, ::2]), "detail"),
    "cropped to its ink": (lambda ink: on_paper(cropped(ink)), "flat"),
}


def cropped(ink: Ink) -> Ink:
    left, top, right, bottom = box(ink)
    return ink[top : bottom + 1, left : right + 1]


@pytest.mark.parametrize("name", FORMS)
def test_a_digit_in_each_form_has_a_reading_that_shows_it(digits, name):
    draw, kind = FORMS[name]
    shown = []
    for row in (*CLEAR, *(row + 10 for row in CLEAR)):
        ink = large(digits[row], margin=60)
        expected = flat(on_paper(ink)).image
        found = [one for one in readings(draw(ink)) if not one.objection and likeness(one.image, expected) > 0.8]
        shown.append({one.kind for one in found})
    assert sum(map(bool, shown)) >= 15, shown
    assert any(kind in kinds for kinds in shown), shown


def test_hollow_strokes_are_filled(digits):
    for row in (2, 5, 7):
        ink = large(digits[row], margin=60)
        kinds = {r.kind: likeness(r.image, flat(on_paper(ink)).image) for r in readings(on_paper(hollow(ink)))}
        assert kinds["filled"] > 0.8


def test_a_squeezed_digit_gets_its_proportions_back(digits):
    for row in (2, 3, 5, 8):
        ink = large(digits[row])
        squeezed = cv2.resize(ink, (ink.shape[1] // 3, ink.shape[0]), interpolation=cv2.INTER_AREA)
        kinds = {r.kind: likeness(r.image, flat(on_paper(ink)).image) for r in readings(on_paper(squeezed))}
        assert kinds["proportions"] > kinds["flat"]
        assert kinds["proportions"] > 0.7


def objections(plane: Plane) -> set[str]:
    return {reading.objection for reading in readings(plane)}


def minus_before(ink: Ink) -> Ink:
    left, top, _, bottom = box(ink)
    wide, middle = np.pad(ink, ((0, 0), (80, 0))), (top + bottom) / 2
    return with_lines(wide, ((left + 5, middle), (left + 55, middle)), width=14)


def test_signs_beside_a_digit_and_several_digits_have_an_objection(digits):
    for row in range(10):
        ink = large(digits[row], margin=30)
        other = large(digits[(row + 3) % 10], margin=30)
        assert objections(on_paper(minus_before(ink))) == {"several"}
        assert objections(on_paper(np.concatenate([ink, other], axis=1))) == {"several"}
        assert "" not in objections(on_paper(np.concatenate([ink, other, ink], axis=1)))


def test_a_digit_in_a_box_with_another_beside_it_has_an_objection(digits):
    boxed = rectangle(large(digits[3], margin=50))
    plane = on_paper(np.concatenate([boxed, large(digits[5], margin=50)], axis=1))
    inside = [reading for reading in readings(plane) if reading.kind == "inside"]
    assert inside
    assert {reading.objection for reading in inside} == {"outside"}


def test_a_digit_of_several_pieces_is_one():
    plane = np.full((300, 200), 240, np.uint8)
    plane[60:75, 80:150] = 20  # the bar of a five, apart from its body
    plane[90:140, 70:85] = 20
    plane[125:140, 70:140] = 20
    plane[125:200, 125:140] = 20
    plane[190:205, 60:140] = 20
    assert flat(plane).objection == ""
    assert flat(plane).image[4:8].any()  # the bar is there


def test_a_line_through_a_digit_stays(digits):
    """It may be a stroke of it, or strike it out; either way, the model is to see it."""
    for row in (1, 3, 8):
        ink = large(digits[row], margin=60)
        left, top, right, bottom = box(ink)
        middle = (top + bottom) / 2
        struck = on_paper(with_lines(ink, ((left - 15, middle), (right + 15, middle)), width=8))
        assert all(width_of(r.image) > width_of(flat(on_paper(ink)).image) + 2 for r in readings(struck))


def test_a_line_goes_but_for_the_stroke_that_lies_along_it(digits):
    paper, below = np.zeros((210, 180), np.float32), 180
    swan = [(90 + 35 * np.cos(angle), 70 - 35 * np.sin(angle)) for angle in np.linspace(np.pi, -0.5, 12)]
    stem = with_lines(paper, (*swan, (50, below)), width=9)
    whole = with_lines(stem, ((50, below), (130, below)), width=9)
    ends = ((20, 20), (160, 20), (160, below), (20, below), (20, 20))
    boxed = [
        reading.image for reading in readings(on_paper(with_lines(whole, ends, width=4))) if reading.kind == "lines"
    ]
    assert boxed
    for image in boxed:  # a 2 without its foot looks like a 7
        assert likeness(image, flat(on_paper(whole)).image) > likeness(image, flat(on_paper(stem)).image)

    for row in CLEAR:
        ink = large(digits[row])
        bottom, width = box(ink)[3], ink.shape[1]
        standing = with_lines(ink, ((0, bottom), (width, bottom)), width=3)
        alike, _ = best_likeness(on_paper(standing), flat(on_paper(ink)).image)
        assert alike > 0.85, row


def width_of(image: Plane) -> int:
    return int(np.ptp(np.flatnonzero((image > 40).any(axis=0))))


def test_the_border_of_a_cell_is_no_1():
    plane = np.full((160, 200), 235, np.uint8)
    plane[[30, 31, 130, 131]] = 30
    plane[30:130, [60, 61, 62, 140, 141, 142]] = 30
    for reading in readings(plane):
        assert reading.objection or not looks_like_a_1(reading.image), reading.kind


def looks_like_a_1(image: Plane) -> bool:
    used = np.flatnonzero((image > 128).any(axis=0))
    return bool(used.size) and np.ptp(used) < 6


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 2), (28, 28), (5, 900), (700, 3)])
def test_a_blank_of_any_shape_has_no_reading(shape):
    for value in (0, 128, 255):
        assert readings(np.full(shape, value, np.uint8)) == []


def test_noise_and_dashes_have_an_objection():
    random = np.random.default_rng(4)
    for share in (0.01, 0.05, 0.1):
        grains = np.where(random.random((120, 120)) < share, 0, 255).astype(np.uint8)
        assert flat(grains).objection == "noise"
    plane = np.full((200, 300), 240, np.uint8)
    plane[95:105, 60:240] = 10
    assert flat(plane).objection == "shape"


@pytest.mark.parametrize(("pad", "closer"), [(30, False), (700, True)])
def test_the_whole_picture_is_made_only_where_the_ink_is_small(digits, pad, closer):
    whole = np.pad(on_paper(large(digits[3], margin=0)), pad, constant_values=230)
    height, width = whole.shape
    first = np.asarray(cv2.resize(whole, (width // 4, height // 4), interpolation=cv2.INTER_AREA), np.uint8)
    made = []

    def make_whole() -> Plane:
        made.append(True)
        return whole

    found = read_further(first, make_whole)
    assert made == [True] * closer
    if closer:
        [detail] = [reading for reading in found if reading.kind == "detail"]
        expected = flat(on_paper(large(digits[3]))).image
        assert likeness(detail.image, expected) > max(0.97, likeness(flat(first).image, expected))


def test_no_reading_is_offered_twice_or_empty(digits):
    for row in range(30):
        found = read_further(on_paper(rectangle(large(digits[row], margin=60))))
        assert len({reading.image.tobytes() for reading in found}) == len(found)
        assert all(reading.image.max() == 255 for reading in found)
        assert all(reading.penalty == PENALTIES[reading.kind] for reading in found)


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40))))
@settings(max_examples=150, deadline=None)
def test_no_image_is_too_strange(plane):
    for reading in readings(plane):
        assert reading.image.shape == (28, 28)
        assert reading.image.dtype == np.uint8


@given(st.integers(0, 2**32 - 1), st.integers(20, 400), st.integers(20, 400))
@settings(max_examples=60, deadline=None)
def test_no_drawing_is_too_strange(seed, height, width):
    """Lines, blots and shades, as hypothesis' own arrays never have them."""
    random = np.random.default_rng(seed)
    plane = np.full((height, width), random.integers(0, 256), np.uint8)
    for _ in range(random.integers(1, 8)):
        x0, y0, x1, y1 = (int(value) for value in random.integers(-20, 420, 4))
        cv2.line(plane, (x0, y0), (x1, y1), int(random.integers(0, 256)), int(random.integers(1, 40)))
        cv2.circle(
            plane, (x1, y1), int(random.integers(1, 200)), int(random.integers(0, 256)), int(random.choice([-1, 2]))
        )
    for reading in readings(plane):
        assert reading.image.max() == 255


@pytest.mark.parametrize("shape", [(640, 480), (641, 483), (1000, 1), (1, 333), (320, 2), (319, 200)])
def test_a_plane_is_reduced_by_area(shape):
    plane = np.random.default_rng(8).integers(0, 256, shape).astype(np.uint8)
    small = fit_within(plane, 160)
    assert max(small.shape) == min(160, max(shape))
    assert min(small.shape) >= 1
    scale = max(small.shape) / max(shape)
    assert np.abs(np.array(small.shape) - np.array(shape) * scale).max() <= 1
    assert abs(float(small.mean()) - float(plane.mean())) < 3


def test_halves_are_means_of_four_pixels_and_quarters_of_sixteen():
    plane = np.random.default_rng(9).integers(0, 256, (640, 480)).astype(np.uint8)
    means = plane.reshape(160, 4, 120, 4).mean(axis=(1, 3))
    assert np.abs(fit_within(plane, 160) - means).max() <= 1
