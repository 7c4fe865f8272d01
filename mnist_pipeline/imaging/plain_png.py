"""The fast path: 8-bit grey 28x28 PNG files, decoded where their pixels are needed. Pure.

Pillow's own inflater and unfilter do the work. What is left out is the general reader around them, which costs more
than they do: its checks are done here on the bytes. Whatever is not plain in every respect, damage included, is for
the general reader.
"""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image, _imaging

from mnist_pipeline.mnist_form import SIDE

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_IHDR = struct.pack(">4sIIBBBBB", b"IHDR", SIDE, SIDE, 8, 0, 0, 0, 0)
_HEADER = SIGNATURE + struct.pack(">I", len(_IHDR) - 4) + _IHDR + struct.pack(">I", zlib.crc32(_IHDR))
END = struct.pack(">I4s", 0, b"IEND") + struct.pack(">I", zlib.crc32(b"IEND"))
_MEANINGLESS = frozenset({b"tEXt", b"zTXt", b"tIME", b"pHYs"})
"""Chunks that do not change a pixel; one that turns the image (EXIF) may lie in none of them."""


def compressed_pixels(data: bytes) -> bytes | None:
    """The zlib stream of a plain PNG whose chunks are whole; None for anything else."""
    if not data.startswith(_HEADER) or not data.endswith(END):
        return None
    position = len(_HEADER)
    stream = b""
    last = len(data) - len(END)
    while position < last:
        end = position + 8 + int.from_bytes(data[position : position + 4])
        kind = data[position + 4 : position + 8]
        if end > last or zlib.crc32(data[position + 4 : end]) != int.from_bytes(data[end : end + 4]):
            return None
        if kind == b"IDAT":
            stream = stream + data[position + 8 : end] if stream else data[position + 8 : end]
        elif kind not in _MEANINGLESS:
            return None
        position = end + 4
    return stream or None


class Canvas:
    """Room for the pixels of many images, into which plain PNG files are decoded without a copy.

    Attributes:
        pixels: uint8 [capacity, 28, 28].
    """

    def __init__(self, capacity: int) -> None:
        self.pixels: NDArray[np.uint8] = np.zeros((capacity, SIDE, SIDE), np.uint8)
        # Images that share the array's memory: what is decoded into one is in the array.
        self._views = [Image.frombuffer("L", (SIDE, SIDE), row, "raw", "L", 0, 1) for row in self.pixels]
        self._planes = [view.im for view in self._views]
        self._shares = capacity == 0 or _shares_memory(self._views[0], self.pixels[0])

    def __len__(self) -> int:
        return len(self._views)

    def decode(self, row: int, data: bytes) -> bool:
        """Decode a plain PNG into a row; False, and the row as it was or zero, where it is none."""
        stream = compressed_pixels(data)
        if stream is None:
            return False
        # As `Image.frombytes` does, without what it looks at first: that takes a quarter of the time.
        decoder = _imaging.zip_decoder("L", "L", 0)
        decoder.setimage(self._planes[row], None)
        consumed, problem = decoder.decode(stream)
        if consumed >= 0 or problem:  # not at the end, or damaged
            self.pixels[row] = 0
            return False
        if not self._shares:
            self.pixels[row] = np.asarray(self._views[row])
        return True


def _shares_memory(view: Image.Image, pixels: NDArray[np.uint8]) -> bool:
    """Whether this Pillow decodes into the array; it need not."""
    view.frombytes(zlib.compress((b"\0" + b"\xff" * SIDE) * SIDE), "zip", "L", 0)
    shares = bool(pixels.all())
    pixels[:] = 0
    return shares
