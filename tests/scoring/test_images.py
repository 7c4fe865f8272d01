"""One documented conversion for each kind of image: a golden array per mode."""

import io

import numpy as np
import pytest
from PIL import Image

from mnist_pipeline.imaging.decoding import WORK_SIDE, decode
from mnist_pipeline.imaging.errors import ImageError
from mnist_pipeline.imaging.plain_png import Canvas

# 2 x 3 pixels; luminance by ITU-R 601: red 76, green 150, blue 29 (of 255).
COLOURS = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[255, 255, 255], [0, 0, 0], [128, 128, 128]]], np.uint8)
LUMINANCE = [[76, 150, 29], [255, 0, 128]]
GREY = np.array([[0, 1, 127], [128, 254, 255]], np.uint8)


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def plane(image: Image.Image, kind: str = "PNG", **options: object) -> np.ndarray:
    return decode(encode(image, kind, **options), 1_000_000)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF"])
def test_grey_is_taken_as_it_is(kind):
    found = plane(Image.fromarray(GREY), kind)
    assert found.dtype == np.uint8
    assert found.tolist() == GREY.tolist()


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("WEBP", {"lossless": True})])
def test_colour_becomes_luminance(kind, options):
    assert plane(Image.fromarray(COLOURS), kind, **options).tolist() == LUMINANCE


def test_a_palette_is_looked_up():
    palette = Image.fromarray(COLOURS).quantize(6)
    assert plane(palette).tolist() == LUMINANCE
    assert plane(palette, "GIF").tolist() == LUMINANCE


def test_one_bit_becomes_black_and_white():
    bits = Image.fromarray(np.array([[0, 255, 0], [255, 255, 0]], np.uint8)).convert("1")
    for kind in ("PNG", "TIFF", "BMP"):
        assert plane(bits, kind).tolist() == [[0, 255, 0], [255, 255, 0]]


def test_sixteen_bits_keep_their_fractions():
    values = np.array([[0, 257, 128], [65_535, 32_896, 1]], np.uint16)
    found = plane(Image.fromarray(values))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, values / 257, rtol=1e-6)


def test_floats_are_stretched_to_the_whole_range():
    values = np.array([[-1.0, 0.0], [1.0, 3.0]], np.float32)
    np.testing.assert_allclose(plane(Image.fromarray(values), "TIFF"), [[0, 63.75], [127.5, 255]], atol=1e-4)
    with pytest.raises(ImageError, match="finite"):
        plane(Image.fromarray(np.array([[np.nan, 1]], np.float32)), "TIFF")


def test_cmyk_is_converted():
    image = Image.fromarray(np.array([[[0, 0, 0, 0], [0, 0, 0, 255]]], np.uint8), "CMYK")
    assert plane(image, "TIFF").tolist() == [[255, 0]]
    np.testing.assert_allclose(plane(image.resize((16, 16), 0), "JPEG", quality=100)[0, [0, -1]], [255, 0], atol=2)


@pytest.mark.parametrize("ink", [(0, 0, 0), (255, 255, 255), (200, 30, 30)])
def test_ink_in_the_alpha_channel_alone_is_dark_on_light(ink):
    coverage = np.array([[0, 0, 255], [0, 128, 255]], np.uint8)
    image = Image.merge("RGBA", [Image.new("L", (3, 2), value) for value in ink] + [Image.fromarray(coverage)])
    assert plane(image).tolist() == (255 - coverage).tolist()


def test_ink_in_the_colours_of_a_cut_out_keeps_them_on_its_own_paper():
    colours = np.full((6, 6), 230, np.uint8)
    colours[2:4, 2:4] = 20
    alpha = np.full((6, 6), 255, np.uint8)
    alpha[0] = 0
    grey = Image.fromarray(colours)
    found = plane(Image.merge("RGBA", [grey, grey, grey, Image.fromarray(alpha)]))
    assert found[3, 3] == 20
    assert found[0].tolist() == [230] * 6


def test_an_opaque_or_wholly_transparent_image_is_not_mistaken_for_ink():
    opaque = Image.fromarray(GREY).convert("RGBA")
    assert plane(opaque).tolist() == GREY.tolist()
    assert plane(Image.new("RGBA", (3, 2), (0, 0, 0, 0))).tolist() == [[255] * 3] * 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_exif_orientation_is_applied(orientation):
    upright = np.zeros((16, 32), np.uint8)
    upright[:8, :8] = 255
    turn = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # what a camera does to the picture (Pillow's transpositions)
    image = Image.fromarray(upright)
    if orientation > 1:
        image = image.transpose(Image.Transpose(turn[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = plane(image, "JPEG", exif=exif, quality=95)
    assert found.shape == (16, 32)
    assert np.abs(found.astype(int) - upright).max() < 30


def test_the_first_frame_counts():
    frames = [Image.new("L", (4, 4), value) for value in (10, 200)]
    for kind in ("GIF", "TIFF", "WEBP"):
        options = {"lossless": True} if kind == "WEBP" else {}
        found = plane(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert found.tolist() == [[10] * 4] * 4


@pytest.mark.parametrize(("kind", "size"), [("JPEG", (4_000, 3_000)), ("PNG", (1_600, 1_200)), ("JPEG", (900, 500))])
def test_photo_sizes_are_reduced_and_show_the_same(kind, size):
    width, height = size
    ramp = np.add.outer(np.linspace(0, 120, height), np.linspace(0, 120, width)).astype(np.uint8)
    found = plane_of_large(ramp, kind)
    assert WORK_SIDE <= max(found.shape) < 2 * WORK_SIDE
    whole = np.asarray(Image.fromarray(ramp).resize(found.shape[::-1], Image.Resampling.BOX)).astype(int)
    assert np.abs(found.astype(int) - whole).max() <= 3


def plane_of_large(pixels: np.ndarray, kind: str) -> np.ndarray:
    return decode(encode(Image.fromarray(pixels), kind), 100_000_000)


def test_an_image_larger_than_allowed_is_refused_unseen():
    with pytest.raises(ImageError, match="20 x 10 pixels; at most 199") as error:
        decode(encode(Image.new("L", (20, 10))), 199)
    assert error.value.kind == "too large"


def test_the_fast_path_gives_what_the_general_one_gives_or_nothing(digits):
    canvas = Canvas(len(digits.images))
    for row, image in enumerate(digits.images[:200]):
        for options in ({}, {"compress_level": 0}, {"optimize": True}):
            canvas.pixels[row] = 7
            data = encode(Image.fromarray(image), **options)
            assert canvas.decode(row, data)
            assert (canvas.pixels[row] == image).all()
            assert (decode(data, 1_000) == image).all()


def test_the_fast_path_leaves_what_is_not_plain_to_the_general_one(digits):
    canvas = Canvas(1)
    plain = encode(Image.fromarray(digits.images[0]))
    exif = Image.Exif()
    exif[0x0112] = 6
    others = [
        encode(Image.fromarray(digits.images[0]), exif=exif),
        encode(Image.fromarray(digits.images[0]), transparency=0),
        encode(Image.fromarray(digits.images[0]).convert("RGB")),
        encode(Image.fromarray(digits.images[0]).resize((27, 28))),
        encode(Image.fromarray(digits.images[0]), "BMP"),
        plain[:-1],
        plain + b"x",
        plain[:60] + bytes([plain[60] ^ 1]) + plain[61:],
        b"",
    ]
    for data in others:
        assert not canvas.decode(0, data)
    assert not canvas.pixels.any()
