"""One documented conversion for each kind of image: a golden array per mode."""

import io
import struct
import zlib
from contextlib import suppress

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mnist_pipeline.imaging.decoding import FIRST_SIDE, MAX_SIDE, decode, first_look
from mnist_pipeline.imaging.errors import ImageError

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


RAMP = np.array([[0, 0.25], [0.5, 1]])


@pytest.mark.parametrize("top", [255, 1023, 4095, 65_535])
@pytest.mark.parametrize("kind", [".png", ".tiff"])
def test_the_range_that_a_16_bit_file_uses_is_found(top, kind):
    values = np.rint(RAMP * top).astype(np.uint16)
    for samples in (values, np.stack([values] * 3, -1)):
        found = decode(cv2.imencode(kind, samples)[1].tobytes(), 100)
        assert found.dtype == np.uint8
        assert np.abs(found.astype(int) - [[0, 64], [128, 255]]).max() <= 1


def test_a_dark_16_bit_image_keeps_its_range():
    """It does not use all of it, but too much for the next smaller one."""
    found = plane(Image.fromarray(np.array([[0, 30_000], [15_000, 8_000]], np.uint16)))
    assert found.tolist() == [[0, 117], [58, 31]]


@pytest.mark.parametrize(
    "values",
    [
        (RAMP).astype(np.float32),
        (RAMP * 255).astype(np.float32),
        (RAMP * 1e-6).astype(np.float32),
        (RAMP * 6 - 3).astype(np.float64),
        (RAMP * 3e9 - 1e9).astype(np.float64),
        np.rint(RAMP * 255).astype(np.int32),
        np.rint(RAMP * 65_535).astype(np.uint32),
        np.rint(RAMP * 2e9 - 1e9).astype(np.int32),
        np.rint(RAMP * 200 - 100).astype(np.int8),
        np.rint(RAMP * 4000 - 2000).astype(np.int16),
    ],
    ids=lambda values: f"{values.dtype}, {values.min():g} to {values.max():g}",
)
def test_tiff_samples_of_any_kind_and_range_fill_the_greys(values):
    found = decode(cv2.imencode(".tiff", values)[1].tobytes(), 100)
    assert np.abs(found.astype(int) - [[0, 64], [128, 255]]).max() <= 1


def test_values_that_are_no_numbers_are_refused():
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


def test_a_card_in_a_large_transparent_margin_keeps_its_own_paper():
    grey = np.zeros((40, 40), np.uint8)
    grey[15:25, 12:28] = 240
    grey[18:22, 18:22] = 10
    alpha = np.zeros((40, 40), np.uint8)
    alpha[15:25, 12:28] = 255
    found = plane(Image.merge("RGBA", [Image.fromarray(grey)] * 3 + [Image.fromarray(alpha)]))
    assert found[0, 0] == 240
    assert found[20, 20] == 10


def test_strokes_of_several_colours_on_nothing_are_laid_on_the_far_end_of_the_greys():
    grey, alpha = np.zeros((30, 30), np.uint8), np.zeros((30, 30), np.uint8)
    grey[5, 5:25], grey[5:25, 5] = 20, 120
    alpha[5, 5:25] = alpha[5:25, 5] = 255
    found = plane(Image.merge("RGBA", [Image.fromarray(grey)] * 3 + [Image.fromarray(alpha)]))
    assert found[20, 20] == 255
    assert found[5, 20] == 20


def test_a_bmp_whose_alpha_is_0_everywhere_is_opaque():
    samples = np.dstack([COLOURS[:, :, ::-1], np.zeros(COLOURS.shape[:2], np.uint8)])
    height, width = samples.shape[:2]
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<IiiHHIIiiII", 124, width, -height, 1, 32, 3, samples.nbytes, 2835, 2835, 0, 0)
    header += masks + b"BGRs" + bytes(124 - len(header) - len(masks) - 4)
    data = b"BM" + struct.pack("<IHHI", 14 + len(header) + samples.nbytes, 0, 0, 14 + len(header)) + header
    assert decode(data + samples.tobytes(), 100).tolist() == LUMINANCE


def test_one_grey_or_colour_may_be_the_transparent_one():
    drawn = np.zeros((5, 5), np.uint8)
    drawn[1:4, 2] = 90
    expected = np.where(drawn, 0, 255).tolist()
    assert plane(Image.fromarray(drawn), transparency=0).tolist() == expected
    assert plane(Image.fromarray(drawn).convert("RGB"), transparency=(0, 0, 0)).tolist() == expected
    assert plane(Image.fromarray(drawn).convert("P"), transparency=0).tolist() == expected


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


@pytest.mark.parametrize(
    ("kind", "size"), [("JPEG", (4_000, 3_000)), ("PNG", (1_600, 1_200)), ("JPEG", (1_900, 500)), ("TIFF", (1_025, 40))]
)
def test_photo_sizes_are_reduced_and_show_the_same(kind, size):
    width, height = size
    ramp = np.add.outer(np.linspace(0, 120, height), np.linspace(0, 120, width)).astype(np.uint8)
    found = plane_of_large(ramp, kind)
    assert MAX_SIDE // 2 <= max(found.shape) <= MAX_SIDE
    whole = np.asarray(Image.fromarray(ramp).resize(found.shape[::-1], Image.Resampling.BOX)).astype(int)
    assert np.abs(found.astype(int) - whole).max() <= 3


def test_a_first_look_at_a_photograph_is_smaller_and_at_anything_else_all():
    ramp = np.add.outer(np.linspace(0, 120, 2_000), np.linspace(0, 120, 3_000)).astype(np.uint8)
    found, has_more = first_look(encode(Image.fromarray(ramp), "JPEG", quality=95), 10**8)
    assert has_more
    assert found.shape == (250, 375)
    assert np.abs(found.astype(int) - ramp[4::8, 4::8]).max() <= 3
    for data in (
        encode(Image.fromarray(ramp)),
        encode(Image.fromarray(ramp[:FIRST_SIDE, :FIRST_SIDE]), "JPEG"),
        encode(Image.fromarray(ramp).convert("CMYK"), "JPEG"),
    ):
        found, has_more = first_look(data, 10**8)
        assert not has_more
        assert (found == decode(data, 10**8)).all()


def plane_of_large(pixels: np.ndarray, kind: str) -> np.ndarray:
    return decode(encode(Image.fromarray(pixels), kind), 100_000_000)


def test_an_image_larger_than_allowed_is_refused_unseen():
    with pytest.raises(ImageError, match="20 x 10 pixels; at most 199") as error:
        decode(encode(Image.new("L", (20, 10))), 199)
    assert error.value.kind == "too large"


# What no pixel depends on.


def chunk(kind: bytes, content: bytes, *, checksum: int | None = None) -> bytes:
    found = zlib.crc32(kind + content) if checksum is None else checksum
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", found)


MALFORMED = {
    "EXIF that is none": chunk(b"eXIf", b"nonsense"),
    "EXIF that is cut off": chunk(b"eXIf", b"II*\0\x08\0\0\0\xff\xff"),
    "text with a wrong checksum": chunk(b"tEXt", b"Title\0digit", checksum=1),
    "2 MB of compressed text": chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2_000_000))),
    "compressed text that is damaged": chunk(b"zTXt", b"Comment\0\0nonsense"),
    "a profile that is none": chunk(b"iCCP", b"name\0\0nonsense"),
    "international text without its parts": chunk(b"iTXt", b"x"),
    "a physical size of the wrong length": chunk(b"pHYs", b"1"),
    "an unknown chunk with a wrong checksum": chunk(b"abCd", bytes(9), checksum=1),
}


@pytest.mark.parametrize("extra", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_metadata_of_a_png_costs_nothing(extra, capfd):
    header = 33  # the signature and IHDR
    for image, expected in ((Image.fromarray(GREY), GREY.tolist()), (Image.fromarray(COLOURS), LUMINANCE)):
        data = encode(image)
        assert decode(data[:header] + extra + data[header:], 100).tolist() == expected
        assert decode(data[:-12] + extra + data[-12:], 100).tolist() == expected
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("content", [b"Exif\0\0nonsense!", b"Exif\0\0II*\0\xff\xff\xff\xff", b"", b"ICC_PROFILE\0\x01"])
def test_malformed_metadata_of_a_jpeg_costs_nothing(content):
    data = encode(Image.fromarray(np.full((16, 16), 90, np.uint8)), "JPEG", quality=95)
    for marker in (b"\xff\xe1", b"\xff\xe2", b"\xff\xfe"):
        segment = marker + (len(content) + 2).to_bytes(2) + content
        assert np.abs(decode(data[:2] + segment + data[2:], 1_000).astype(int) - 90).max() <= 2


def test_exif_of_a_png_turns_it_as_far_as_it_can_be_read():
    exif = Image.Exif()
    exif[0x0112] = 6
    assert plane(Image.fromarray(GREY), exif=exif).tolist() == np.rot90(GREY, -1).tolist()
    exif[0x0112] = 77
    assert plane(Image.fromarray(GREY), exif=exif).tolist() == GREY.tolist()


def test_damaged_pixels_are_never_answered():
    data = encode(Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8)))
    for broken in (data[:-1], data[:-12], data[: len(data) // 2], data[:20], data[:10], changed(data, 60)):
        with pytest.raises(ImageError) as error:
            decode(broken, 10_000)
        assert error.value.kind == "corrupt", len(broken)


def changed(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize("kind", ["JPEG", "GIF", "TIFF", "BMP", "WEBP"])
def test_files_that_are_cut_off_are_no_images(kind):
    data = encode(Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)), kind)
    for length in (len(data) // 2, len(data) - 20):
        with pytest.raises(ImageError) as error:
            decode(data[:length], 10_000)
        assert error.value.kind in {"corrupt", "not an image"}


@given(st.binary(max_size=400), st.integers(0, 300), st.integers(0, 7))
@settings(max_examples=200, deadline=None)
def test_no_bytes_raise_anything_else(noise, place, form):
    """Noise, and files of each form into which noise was written."""
    image = Image.fromarray(np.arange(400, dtype=np.uint8).reshape(20, 20))
    kinds = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF")
    data = encode(image, kinds[form]) if form < len(kinds) else b""
    with suppress(ImageError):
        found = decode(data[:place] + noise + data[place + len(noise) :], 100_000)
        assert found.dtype == np.uint8
        assert found.ndim == 2


FOREIGN = {
    "HEIC": b"\0\0\0\x18ftypheic" + bytes(40),
    "AVIF": b"\0\0\0\x18ftypavif" + bytes(40),
    "PDF": b"%PDF-1.7\n" + bytes(40),
    "SVG": b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>',
    "SVG drawing": b'\n <svg width="4"/>',
    "HTML": b"<!DOCTYPE html><html></html>",
    "Photoshop": b"8BPS" + bytes(40),
    "ZIP": b"PK\x03\x04" + bytes(40),
    "video": b"\0\0\0\x18ftypisom" + bytes(40),
    "Git LFS": b"version https://git-lfs.github.com/spec/v1\n",
}


@pytest.mark.parametrize("name", FOREIGN)
def test_files_of_other_kinds_are_named_with_what_to_do(name):
    with pytest.raises(ImageError, match=name) as error:
        decode(FOREIGN[name], 1_000)
    assert error.value.kind == "not an image"
    assert "\n" not in error.value.message
    assert any(word in error.value.message for word in ("PNG", "unpack", "download", "git lfs"))


@pytest.mark.parametrize(
    ("data", "message"), [(b"", "empty"), (bytes(500), "zero bytes"), (b"hello", "none of PNG, JPEG")]
)
def test_what_is_nothing_is_said(data, message):
    with pytest.raises(ImageError, match=message):
        decode(data, 1_000)
