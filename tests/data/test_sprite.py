"""Decoding: every mode gives the same pixels, and everything else is refused by name."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mnist_pipeline.data.sprite import BLOCK_ROWS, decode_labels, decode_sprite, encode_labels
from mnist_pipeline.errors import DataError
from tests.support.images import bomb

ROWS = 30


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(3).integers(0, 256, (ROWS, 784), dtype=np.uint8)


def as_png(image: Image.Image, **options: object) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    file.seek(0)
    return file


def decode(file: io.BytesIO, rows: int = ROWS) -> np.ndarray:
    return np.concatenate(list(decode_sprite(file, rows, "sprite.png")))


def in_mode(pixels: np.ndarray, mode: str) -> Image.Image:
    grey = Image.fromarray(pixels)
    if mode != "P":
        return grey.convert(mode)
    # A palette that is not the identity: index i shows grey 255 - i.
    image = Image.frombytes("P", grey.size, (255 - pixels).tobytes())
    image.putpalette([channel for value in range(255, -1, -1) for channel in (value,) * 3])
    return image


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P"])
def test_modes_with_equal_channels_give_the_same_pixels(pixels, mode: str):
    decoded = decode(as_png(in_mode(pixels, mode)))
    assert decoded.dtype == np.uint8
    assert decoded.shape == (ROWS, 28, 28)
    assert np.array_equal(decoded.reshape(ROWS, 784), pixels)


def test_a_short_palette_and_an_opaque_transparency_chunk_are_taken():
    values = np.zeros((2, 784), np.uint8)
    values[1, 5] = 1
    image = Image.frombytes("P", (784, 2), values.tobytes())
    image.putpalette([0, 0, 0, 200, 200, 200])
    decoded = decode(as_png(image, bits=1, transparency=b"\xff\xff"), rows=2)
    assert decoded[1].ravel()[5] == 200
    assert decoded.sum() == 200


def test_blocks_cover_all_rows_in_order():
    rows = BLOCK_ROWS + 7
    pixels = np.zeros((rows, 784), np.uint8)
    pixels[:, 0] = np.arange(rows) % 251
    blocks = list(decode_sprite(as_png(Image.fromarray(pixels)), rows, "sprite.png"))
    assert [len(block) for block in blocks] == [BLOCK_ROWS, 7]
    assert np.array_equal(np.concatenate(blocks).reshape(rows, 784), pixels)


@pytest.mark.parametrize("size", [(783, ROWS), (785, ROWS), (784, ROWS - 1), (784, ROWS + 1), (ROWS, 784)])
def test_another_size_is_refused_with_both_sizes(size):
    found = f"{size[0]}x{size[1]}"
    with pytest.raises(DataError, match=rf"sprite\.png has {found} pixels, expected 784x{ROWS} \({ROWS} images"):
        decode(as_png(Image.new("L", size)))


def test_a_bomb_is_refused_by_its_header_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda _: pytest.fail("pixels were decoded"))
    with pytest.raises(DataError, match="has 30000x30000 pixels, expected 784x30 "):
        decode(io.BytesIO(bomb(30_000)))


def test_a_sprite_above_pillows_own_limit_is_decoded_and_the_limit_stays(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 800_000)
    rows = 2_500
    file = as_png(Image.new("L", (784, rows), 7))
    with pytest.raises(Image.DecompressionBombError):
        Image.open(file)
    file.seek(0)
    assert (decode(file, rows) == 7).all()
    assert Image.MAX_IMAGE_PIXELS == 800_000


@pytest.mark.parametrize(
    ("mode", "pixel", "message"),
    [
        ("RGB", (9, 9, 8), r"not grey: row 17 has colour \(9, 9, 8\) at pixel 400, expected equal channels"),
        ("RGBA", (9, 8, 9, 255), r"not grey: row 17 has colour \(9, 8, 9\) at pixel 400"),
        ("RGBA", (9, 9, 9, 254), r"transparent: row 17 has alpha 254 at pixel 400, expected 255 everywhere"),
        ("LA", (9, 0), r"transparent: row 17 has alpha 0 at pixel 400"),
    ],
)
def test_colour_and_transparency_are_refused_where_they_are(pixels, mode: str, pixel, message: str):
    image = in_mode(pixels, mode)
    image.putpixel((400, 17), pixel)
    with pytest.raises(DataError, match=rf"^sprite\.png is {message}"):
        decode(as_png(image))


def test_a_transparent_grey_value_is_refused():
    with pytest.raises(DataError, match="transparent: row 0 has alpha 0 at pixel 0"):
        decode(as_png(Image.new("L", (784, ROWS)), transparency=0))


def test_a_coloured_palette_is_refused(pixels):
    image = in_mode(pixels, "P")
    image.putpalette([0, 0, 1] + [0] * 765)
    with pytest.raises(DataError, match=r"not grey: row \d+ has colour \(0, 0, 1\)"):
        decode(as_png(image))


@pytest.mark.parametrize(("mode", "shown"), [("I;16", r"I;16 \(16-bit\)"), ("1", "1")])
def test_other_depths_are_refused(mode: str, shown: str):
    with pytest.raises(DataError, match=f"has mode {shown}, expected 8-bit L, RGB, RGBA or P"):
        decode(as_png(Image.new(mode, (784, ROWS))))


def test_sixteen_bit_colour_is_refused_rather_than_cut():
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 784, ROWS, 16, 2, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + b"\x01\x02" * 3 * 784 for _ in range(ROWS)))
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    with pytest.raises(DataError, match=r"has mode RGB \(16-bit\)"):
        decode(io.BytesIO(png))


def test_other_formats_are_refused(pixels):
    jpeg = io.BytesIO()
    Image.fromarray(pixels).save(jpeg, "JPEG")
    jpeg.seek(0)
    for file in (jpeg, io.BytesIO(b""), io.BytesIO(b"<!DOCTYPE html><html></html>")):
        with pytest.raises(DataError, match=r"sprite\.png is not a PNG that can be read"):
            decode(file)


def test_a_sprite_that_is_cut_anywhere_is_refused(pixels):
    whole = as_png(Image.fromarray(pixels)).getvalue()
    for length in [*range(60), *range(60, len(whole) - 12, 997)]:
        with pytest.raises(DataError):
            decode(io.BytesIO(whole[:length]))


@given(data=st.data())
def test_a_changed_byte_never_gives_other_pixels_than_a_refusal_or_a_different_digest(data):
    """Whatever one changed byte does, it ends in the right pixels, other pixels or a DataError; nothing else."""
    pixels = np.arange(2 * 784, dtype=np.uint32).reshape(2, 784).astype(np.uint8)
    png = bytearray(as_png(Image.fromarray(pixels)).getvalue())
    place = data.draw(st.integers(0, len(png) - 1))
    png[place] ^= data.draw(st.integers(1, 255))
    try:
        decoded = decode(io.BytesIO(bytes(png)), rows=2)
    except DataError:
        return
    assert decoded.shape == (2, 28, 28)


def test_labels_round_trip():
    labels = (np.arange(50) * 7 % 10).astype(np.uint8)
    decoded = decode_labels(encode_labels(labels), 50, "labels")
    assert decoded.dtype == np.uint8
    assert np.array_equal(decoded, labels)


@pytest.mark.parametrize("length", [0, 499, 501, 510])
def test_labels_of_another_length_are_refused(length: int):
    with pytest.raises(DataError, match=rf"labels has {length} bytes, expected 500 \(50 images x 10 classes\)"):
        decode_labels(bytes(length), 50, "labels")


@pytest.mark.parametrize(
    "row",
    [[0] * 10, [1, 1, 0, 0, 0, 0, 0, 0, 0, 0], [2, 0, 0, 0, 0, 0, 0, 0, 0, 0], [255, 2, 0, 0, 0, 0, 0, 0, 0, 0]],
)
def test_the_first_row_that_is_not_one_hot_is_named(row: list[int]):
    data = np.eye(10, dtype=np.uint8)[np.zeros(50, int)]
    data[[31, 40]] = row
    with pytest.raises(
        DataError, match=rf"labels: row 31 is not one-hot: found {re.escape(str(row))}, .*\(2 such rows\)"
    ):
        decode_labels(data.tobytes(), 50, "labels")


def test_sprites_are_read_from_real_files(tmp_path: Path, pixels):
    path = tmp_path / "sprite.png"
    Image.fromarray(pixels).save(path)
    with path.open("rb") as file:
        assert np.array_equal(np.concatenate(list(decode_sprite(file, ROWS, "it"))).reshape(ROWS, 784), pixels)
