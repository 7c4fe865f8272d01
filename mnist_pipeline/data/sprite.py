"""Decode a sprite and its labels, or say why not. Pure: bytes in, arrays out.

A sprite is a PNG in which every row of pixels is one 28x28 image, row-major. Grey is expected;
colour modes are taken where their channels are equal and nothing is transparent.
"""

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from mnist_pipeline import CLASSES, SIDE
from mnist_pipeline.errors import DataError

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
PNG_END = b"IEND\xaeB`\x82"
"""The last bytes of every whole PNG."""
SPRITE_WIDTH = SIDE * SIDE
"""Pixels in a row: one image."""
BLOCK_ROWS = 1_000
_MODES = {"L", "LA", "RGB", "RGBA", "P"}


def decode_sprite(file: BinaryIO, rows: int, where: str) -> Iterator[NDArray[np.uint8]]:
    """The images of a sprite, block by block.

    Pillow holds the decoded image (one byte a pixel for L and P, four for the others); of
    everything made from it only one block exists at a time.

    Args:
        file: the PNG, open for reading in binary mode and seekable.
        rows: how many images it must hold.
        where: what to call the sprite in messages.

    Yields:
        uint8 [k, 28, 28], 0 = background, 255 = ink, k <= `BLOCK_ROWS`; all rows in order.

    Raises:
        DataError: not a PNG, broken, not 784 x ``rows`` pixels, not 8-bit, coloured or transparent.
    """
    with _open_png(file, rows, where) as image:
        _load(image, where)
        for start in range(0, rows, BLOCK_ROWS):
            block = image.crop((0, start, SPRITE_WIDTH, min(start + BLOCK_ROWS, rows)))
            yield _grey(block, start, where).reshape(-1, SIDE, SIDE)


def _open_png(file: BinaryIO, rows: int, where: str) -> PngImagePlugin.PngImageFile:
    """The PNG with only its header read, found to be of the right form.

    `PIL.Image.open` refuses sprites of this size as possible decompression bombs, by a limit
    that is global to the process. The reader underneath knows no limit; ours is stricter: the
    size in the header must be exactly the expected one before any pixel is decoded.
    """
    try:
        image = PngImagePlugin.PngImageFile(file)
    except (SyntaxError, OSError, ValueError, EOFError) as error:
        raise DataError(f"{where} is not a PNG that can be read: {error}") from error
    if image.size != (SPRITE_WIDTH, rows):
        width, height = image.size
        raise DataError(
            f"{where} has {width}x{height} pixels, expected {SPRITE_WIDTH}x{rows} "
            f"({rows:,} images of {SIDE}x{SIDE}, one a row)"
        )
    # Pillow cuts 16-bit colour to 8 bits without a word; only the raw mode of its tiles tells.
    mode = f"{image.mode} (16-bit)" if any("16" in str(tile.args) for tile in image.tile) else image.mode
    if mode not in _MODES:
        raise DataError(f"{where} has mode {mode}, expected 8-bit L, RGB, RGBA or P with equal channels")
    return image


def _load(image: PngImagePlugin.PngImageFile, where: str) -> None:
    try:
        image.load()
    except (SyntaxError, OSError, ValueError, EOFError) as error:
        raise DataError(f"{where} is broken: {error}") from error


def _grey(block: Image.Image, first_row: int, where: str) -> NDArray[np.uint8]:
    """uint8 [k, 784] of a block of rows; ``first_row`` is its place in the sprite."""
    if block.mode == "L" and "transparency" not in block.info:
        return np.asarray(block)
    if block.mode in {"P", "LA"} or "transparency" in block.info:
        block = block.convert("RGBA")
    pixels = np.asarray(block)
    grey = pixels[..., 0]
    coloured = (pixels[..., 1] != grey) | (pixels[..., 2] != grey)
    if coloured.any():
        row, column = (int(index[0]) for index in np.nonzero(coloured))
        raise DataError(
            f"{where} is not grey: row {first_row + row} has colour {tuple(pixels[row, column, :3].tolist())} "
            f"at pixel {column}, expected equal channels"
        )
    if pixels.shape[2] == 4 and (pixels[..., 3] != 255).any():
        row, column = (int(index[0]) for index in np.nonzero(pixels[..., 3] != 255))
        raise DataError(
            f"{where} is transparent: row {first_row + row} has alpha {pixels[row, column, 3]} "
            f"at pixel {column}, expected 255 everywhere"
        )
    return np.ascontiguousarray(grey)


def decode_labels(data: bytes, rows: int, where: str) -> NDArray[np.uint8]:
    """Class indices uint8 [rows] of one-hot label bytes.

    Args:
        data: uint8 [rows, 10] in C order; 1 for the image's class, 0 for the others.
        rows: how many images they must label.
        where: what to call the labels in messages.

    Raises:
        DataError: wrong length, or a row that is not one-hot; names the first one.
    """
    if len(data) != rows * CLASSES:
        raise DataError(
            f"{where} has {len(data):,} bytes, expected {rows * CLASSES:,} ({rows:,} images x {CLASSES} classes)"
        )
    one_hot = np.frombuffer(data, np.uint8).reshape(rows, CLASSES)
    bad = np.flatnonzero((one_hot > 1).any(axis=1) | (one_hot.sum(axis=1) != 1))
    if len(bad):
        raise DataError(
            f"{where}: row {bad[0]} is not one-hot: found {one_hot[bad[0]].tolist()}, expected one 1 and nine 0 "
            f"({len(bad):,} such rows)"
        )
    labels: NDArray[np.uint8] = one_hot.argmax(axis=1).astype(np.uint8)
    return labels


def encode_labels(labels: NDArray[np.uint8]) -> bytes:
    """The one-hot bytes that `decode_labels` reads: uint8 [n, 10] in C order."""
    return np.eye(CLASSES, dtype=np.uint8)[labels].tobytes()
