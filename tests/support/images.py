"""Images as files of their own."""

import io
import struct
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def png(image: NDArray[np.uint8] | Image.Image) -> bytes:
    out = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(out, "PNG")
    return out.getvalue()


def bomb(side: int) -> bytes:
    """A PNG of a few hundred kilobytes whose pixels, one bit each, fill a square of so many thousands."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    pack = zlib.compressobj(1)
    row = bytes(1 + side // 8)
    pixels = b"".join(pack.compress(row * 1_000) for _ in range(side // 1_000)) + pack.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
