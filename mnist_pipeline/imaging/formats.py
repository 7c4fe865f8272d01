"""What the bytes of a file are, by their beginning, and what its header says of the image. Pure."""

import struct
from typing import NamedTuple
from zlib import crc32

from mnist_pipeline.imaging.errors import ImageError

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
READ = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF")
"""No format that is a program (EPS, PS, PDF), and none that starts one."""
_PIXELS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
"""Chunks of a PNG file that decide what its pixels are."""
_CHUNK = struct.Struct(">I4s")
"""Bytes and kind of a chunk of a PNG file."""
_IHDR, _FRAME = struct.Struct(">II x B"), struct.Struct(">HHB")
"""Width, height and colour type of a PNG file; height, width and channels of a JPEG file."""
_CONVERT = "save it as PNG or JPEG"
_SHOT = "export the page as PNG or JPEG"
_NAMED = (
    (b"%PDF-", "a PDF document", _SHOT),
    (b"%!PS", "a PostScript program", _SHOT),
    (b"\xc5\xd0\xd3\xc6", "a PostScript program", _SHOT),
    (b"8BPS", "a Photoshop document", _CONVERT),
    (b"\x00\x00\x01\x00", "an icon (ICO)", _CONVERT),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 image", _CONVERT),
    (b"\xff\x0a", "a JPEG XL image", _CONVERT),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL image", _CONVERT),
    (b"\x76\x2f\x31\x01", "an OpenEXR image", _CONVERT),
    (b"SIMPLE  =", "a FITS image", "save it as TIFF"),
    (b"\x89HDF", "an HDF5 file", "save its images as PNG or TIFF"),
    (b"\x93NUMPY", "a NumPy array", "save its images as PNG or TIFF"),
    (b"PK\x03\x04", "a ZIP archive", "unpack it"),
    (b"\x1f\x8b", "a gzip archive", "unpack it"),
    (b"version https://git-lfs", "a Git LFS pointer", "run git lfs pull"),
)
_HEIF = {
    b"avif": "an AVIF image",
    b"avis": "an AVIF image",
    b"heic": "a HEIC photo",
    b"heix": "a HEIC photo",
    b"hevc": "a HEIC photo",
    b"heim": "a HEIC photo",
    b"heis": "a HEIC photo",
    b"mif1": "a HEIF photo",
    b"msf1": "a HEIF photo",
    b"crx ": "a raw photo (CR3)",
}
"""Brands of ISO media files (ISO/IEC 23008-12)."""


class Header(NamedTuple):
    """What an image file says of itself.

    Attributes:
        width, height: pixels.
        plain: OpenCV reads all that the pixels depend on.
    """

    width: int
    height: int
    plain: bool


def read_header(data: bytes) -> Header | None:
    """The header of a PNG or JPEG file; None for any other.

    Raises:
        ImageError: kind ``corrupt``.
    """
    if data.startswith(PNG):
        return _png_header(data)
    return _jpeg_header(data) if data.startswith(JPEG) else None


def _png_header(data: bytes) -> Header:
    if data[12:16] != b"IHDR" or len(data) < 33:
        raise ImageError("corrupt", "is cut off in its header")
    width, height, colour = _IHDR.unpack_from(data, 16)
    # A single grey or colour that is transparent: OpenCV leaves it opaque.
    plain = colour not in {0, 2} or data.find(b"tRNS", 33, data.find(b"IDAT") + 4) < 0
    return Header(width, height, plain)


def only_pixels(data: bytes) -> tuple[bytes, bytes]:
    """A PNG file without what no pixel depends on, and its EXIF data or b"".

    Text, profiles, times and the like are left out unread, so that nothing in them can do harm.

    Raises:
        ImageError: kind ``corrupt``: it is cut off, or a chunk of its pixels is damaged.
    """
    kept, exif, start, kind, size = [PNG], b"", len(PNG), b"", len(data)
    while kind != b"IEND":
        if start + 12 > size:
            raise ImageError("corrupt", "is cut off before its end marker")
        length, kind = _CHUNK.unpack_from(data, start)
        end = start + 12 + length
        if end > size:
            raise ImageError("corrupt", "is cut off before its end marker")
        if kind in _PIXELS:
            chunk = data[start:end]
            if crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:]):
                raise ImageError("corrupt", f"its {kind.decode()} chunk is damaged (wrong checksum)")
            kept.append(chunk)
        elif kind == b"eXIf":
            exif = data[start + 8 : end - 4]
        start = end
    return b"".join(kept), exif


def _jpeg_header(data: bytes) -> Header:
    position = 2
    while position + 9 < len(data):
        if data[position] != 0xFF:
            position += 1  # stray bytes before a marker are skipped, as decoders do
            continue
        marker = data[position + 1]
        if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:
            height, width, channels = _FRAME.unpack_from(data, position + 5)
            # Inside the entropy-coded data no marker can occur by chance.
            if data.rfind(b"\xff\xd9") < position:
                raise ImageError("corrupt", "is cut off before its end marker")
            return Header(width, height, channels in {1, 3})
        alone = marker in {0x01, 0xFF} or 0xD0 <= marker <= 0xD8
        position += (1 if marker == 0xFF else 2) if alone else 2 + int.from_bytes(data[position + 2 : position + 4])
    raise ImageError("corrupt", "is cut off in its header")


def name_unread(data: bytes) -> str:
    """One line that says what a file is that is not read, and what to do."""
    if not data.strip(b"\0"):
        return "is empty" if not data else "holds nothing but zero bytes"
    if data[4:8] == b"ftyp":
        name = _HEIF.get(data[8:12], "a video or another ISO media file")
        return f"is {name}, which is not read; {_CONVERT}"
    for start, name, advice in _NAMED:
        if data.startswith(start):
            return f"is {name}, which is not read; {advice}"
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<svg", b"<?xml")) and b"<svg" in data[:4096].lower():
        return f"is an SVG drawing, which is not read; {_SHOT}"
    if head.startswith((b"<!doctype html", b"<html")):
        return "is an HTML page, not an image; download the image itself"
    return f"none of {', '.join(READ)} by its content"
