"""Every way to write a digit ends in the sprite's form."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageFilter

from mnist_pipeline.imaging.components import label
from mnist_pipeline.imaging.normalising import (
    find_ink,
    has_sprite_form,
    normalise,
    objection,
    opening,
    otsu,
    resize_only,
    stroke_width,
)
from mnist_pipeline.mnist_form import SIDE


def large(image: np.ndarray, factor: int = 6, margin: int = 40) -> np.ndarray:
    """Ink in [0, 1], enlarged, its edges crisp, with paper around it."""
    side = SIDE * factor
    smooth = Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)
    crisp = Image.fromarray(np.uint8(np.asarray(smooth) > 110) * 255).filter(ImageFilter.GaussianBlur(1))
    return np.pad(np.asarray(crisp, np.float32) / 255, margin)


def on_paper(ink: np.ndarray, *, paper: float = 230, pen: float = 40) -> np.ndarray:
    return (paper - (paper - pen) * ink).clip(0, 255).astype(np.uint8)


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of two images."""
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def centre_of_mass(image: np.ndarray) -> tuple[float, float]:
    mass = image.astype(float)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    return float((mass * y).sum() / mass.sum()), float((mass * x).sum() / mass.sum())


def test_images_in_the_sprites_form_are_known_and_others_are_not(digits):
    assert has_sprite_form(digits.images).all()
    others = {
        "inverted": 255 - digits.images,
        "moved": np.roll(digits.images, 4, axis=2),
        "faint": digits.images // 2,
        "blank": np.zeros_like(digits.images),
        "noise": np.random.default_rng(0).integers(0, 256, digits.images.shape, np.uint8),
        "small": np.stack([np.pad(resize_to(image, 14), 7) for image in digits.images]),
        "thin": np.stack([thin(image) for image in digits.images]),
    }
    for name, images in others.items():
        assert has_sprite_form(images).mean() < 0.01, name


def resize_to(image: np.ndarray, side: int) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BOX))


def thin(image: np.ndarray) -> np.ndarray:
    """The left edges of the strokes: lines of one pixel."""
    ink = image > 127
    return np.uint8(ink & ~np.roll(ink, 1, axis=1)) * 255


@pytest.mark.parametrize("row", range(0, 60, 5))
def test_a_normalised_digit_has_mnists_form_and_looks_the_same(digits, row):
    found = normalise(on_paper(large(digits.images[row])))
    assert found.reason == ""
    image = found.image
    assert image.dtype == np.uint8
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    assert max(np.ptp(rows), np.ptp(columns)) + 1 in {19, 20}
    y, x = centre_of_mass(image)
    assert abs(y - 14) <= 0.6
    assert abs(x - 14) <= 0.6
    moved = np.roll(digits.images[row], (1, 1), (0, 1))
    assert max(likeness(image, other) for other in (digits.images[row], moved)) > 0.8


@pytest.mark.parametrize("row", [0, 1, 2, 3, 4, 7])
def test_polarity_light_noise_and_place_do_not_matter(digits, row):
    ink = large(digits.images[row])
    clean = normalise(on_paper(ink)).image
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
        "sixteen bit": (paper / 16).astype(np.float32),
    }
    for name, plane in versions.items():
        kind = np.float32 if name == "sixteen bit" else np.uint8
        found = normalise(np.clip(plane, 0, 255).astype(kind))
        assert found.reason == "", name
        shifts = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
        assert max(likeness(np.roll(found.image, shift, (0, 1)), clean) for shift in shifts) > 0.9, name


def test_thin_and_thick_strokes_are_brought_near_mnists(digits):
    for row in range(8):
        pen = Image.fromarray(np.uint8(large(digits.images[row], factor=10) * 255))
        for size, image in ((5, pen.filter(ImageFilter.MinFilter(19))), (9, pen.filter(ImageFilter.MaxFilter(9)))):
            ink = np.asarray(image, np.float32) / 255
            if ink.max() < 0.5:
                continue
            drawn = normalise(on_paper(ink)).image.astype(np.float32) / 255
            assert 1.4 < stroke_width(drawn) < 6, (row, size)


def test_thinning_leaves_no_trace_around_the_digit(digits):
    for row in (4, 7, 9):
        pen = Image.fromarray(np.uint8(large(digits.images[row]) * 255)).filter(ImageFilter.MaxFilter(25))
        image = normalise(on_paper(np.asarray(pen, np.float32) / 255)).image
        ink = image > 40
        assert len(label(ink)) == 1
        assert label(ink)[0].mask[[0, 0, -1, -1], [0, -1, 0, -1]].sum() < 4


def test_a_line_thinner_than_a_pixel_of_the_sprite_stays_whole():
    plane = np.full((400, 400), 255, np.uint8)
    plane[60:340, 199:202] = 0
    found = normalise(plane).image
    assert (found.max(axis=1) > 150).sum() >= 18


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 2), (28, 28), (5, 900), (700, 3)])
def test_any_shape_of_blank_page_is_blank(shape):
    for value in (0, 128, 255):
        found = normalise(np.full(shape, value, np.uint8))
        assert found.reason == "blank"
        assert not found.image.any()


def test_blank_paper_under_uneven_light_and_noise_is_no_digit():
    random = np.random.default_rng(3)
    y, x = np.mgrid[-1:1:200j, -1:1:150j]
    for _ in range(20):
        light = 1 + random.uniform(-0.3, 0.3) * x + random.uniform(-0.3, 0.3) * y
        plane = random.uniform(120, 230) * light + random.normal(0, random.uniform(0, 12), light.shape)
        assert normalise(np.clip(plane, 0, 255).astype(np.uint8)).reason != ""


def test_noise_is_no_digit():
    random = np.random.default_rng(4)
    for _ in range(20):
        side = int(random.integers(28, 300))
        assert normalise(random.integers(0, 256, (side, side), np.uint8)).reason != ""


def test_several_digits_are_no_digit(digits):
    for first in range(0, 40, 4):
        line = np.concatenate([large(digits.images[first + step], margin=5) for step in range(3)], axis=1)
        assert normalise(on_paper(line)).reason == "several"


def test_a_digit_of_several_pieces_is_one(digits):
    plane = np.full((300, 200), 240, np.uint8)
    plane[60:75, 80:150] = 20  # the bar of a five, apart from its body
    plane[90:140, 70:85] = 20
    plane[125:140, 70:140] = 20
    plane[125:200, 125:140] = 20
    plane[190:205, 60:140] = 20
    ink = find_ink(plane.astype(np.float32))
    assert len(ink.components) == 2
    assert objection(ink) == ""


def test_a_dash_is_no_digit():
    plane = np.full((200, 300), 240, np.uint8)
    plane[95:105, 60:240] = 10
    assert normalise(plane).reason == "shape"


def test_resize_only_keeps_polarity_and_proportions():
    plane = np.zeros((56, 112), np.uint8)
    plane[:28] = 200
    found = resize_only(plane)
    assert found.tolist() == [[200] * 28] * 14 + [[0] * 28] * 14


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40))))
@settings(max_examples=60, deadline=None)
def test_no_image_is_too_strange(plane):
    found = normalise(plane)
    assert found.image.shape == (SIDE, SIDE)
    assert found.image.dtype == np.uint8


@given(arrays.arrays(np.float32, (9, 11), elements=st.integers(0, 255)), st.integers(1, 15))
@settings(max_examples=60, deadline=None)
def test_opening_is_the_largest_minimum_of_the_squares_that_cover_a_pixel(plane, window):
    found = opening(plane, window)
    before, after = window // 2, window - 1 - window // 2
    padded = np.pad(plane, ((before, after), (before, after)), constant_values=np.inf)
    eroded = np.lib.stride_tricks.sliding_window_view(padded, (window, window)).min(axis=(2, 3))
    padded = np.pad(eroded, ((before, after), (before, after)), constant_values=-np.inf)
    expected = np.lib.stride_tricks.sliding_window_view(padded, (window, window)).max(axis=(2, 3))
    np.testing.assert_array_equal(found, expected)


def test_otsu_separates_two_levels():
    values = np.concatenate([np.full(300, 10), np.full(40, 200)]).astype(np.float32)
    assert 10 < otsu(values) < 200
    assert otsu(np.zeros(5, np.float32)) == 0
