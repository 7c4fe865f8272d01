"""Image files to grey planes: what the bytes are, not what the name says, decides. Pure: bytes in, arrays out.

OpenCV reads PNG, JPEG, and TIFF whose samples are not 8 bits; Pillow reads everything else (`_samples` decides).

=====================  ==============================================================================
grey 8 bit             as it is
1 bit                  0 and 255
other integers, floats the range that the values use, of 8, 10, 12 or 16 bits or 0..1, else stretched
colour, palette, CMYK  luminance by ITU-R BT.601
alpha                  see `planes.flatten`: the ink may be in the colour, or in the alpha channel alone
EXIF orientation       applied; malformed metadata is ignored
several frames         the first
photo-size             reduced by powers of two until the longer side is at most `MAX_SIDE`; `first_look` is smaller
=====================  ==============================================================================
"""

import cv2
import numpy as np

from mnist_pipeline.imaging.errors import ImageError, require_size
from mnist_pipeline.imaging.formats import JPEG, PNG, Header, only_pixels, read_header
from mnist_pipeline.imaging.planes import Plane, Samples, to_plane

MAX_SIDE = 1024
"""A plane's longer side is at most this, and more than half of it where the image has as much."""
FIRST_SIDE = 640
"""The same of a first look at a photograph: more than the flat reading needs."""
_UNCHANGED = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
_REDUCED = {
    1: cv2.IMREAD_GRAYSCALE,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
}

# One thread: images are small, and processes are what runs at once. What is damaged is said in our own words.
cv2.setNumThreads(1)
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def decode(data: bytes, max_pixels: int) -> Plane:
    """The grey plane of an image file.

    Args:
        data: the file's bytes.
        max_pixels: largest width x height that is decoded.

    Returns:
        uint8 [height, width], 0 = black, 255 = white.

    Raises:
        ImageError: kinds ``not an image``, ``corrupt``, ``too large``.
    """
    return _decode(data, max_pixels, MAX_SIDE)


def first_look(data: bytes, max_pixels: int) -> tuple[Plane, bool]:
    """As `decode`; of a photograph a smaller plane in less time, and whether it is: `decode` shows more."""
    plane = _decode(data, max_pixels, FIRST_SIDE)
    header = read_header(data) if data.startswith(JPEG) else None
    if header is None or not header.plain:
        return plane, False
    return plane, _reduction(header.width, header.height, FIRST_SIDE) > _reduction(header.width, header.height)


def _decode(data: bytes, max_pixels: int, jpeg_side: int) -> Plane:
    try:
        plane = to_plane(_samples(data, max_pixels, jpeg_side))
    except MemoryError:
        raise _too_large() from None
    except ImageError:
        raise
    except cv2.error as error:
        out_of_memory = error.code == cv2.Error.StsNoMem
        raise (_too_large() if out_of_memory else ImageError("corrupt", f"cannot be decoded: {error.err}")) from None
    except Exception as error:  # decoders raise what they like on damaged files
        raise ImageError("corrupt", f"cannot be decoded: {_one_line(error)}") from None
    factor = _reduction(plane.shape[1], plane.shape[0])
    if factor == 1:
        return plane
    size = (max(1, plane.shape[1] // factor), max(1, plane.shape[0] // factor))
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.uint8)


def _samples(data: bytes, max_pixels: int, jpeg_side: int) -> Samples:
    """The one place that decides what reads a file."""
    header = read_header(data)
    if header is None:
        return _by_pillow(data, max_pixels)
    require_size(header.width, header.height, max_pixels)
    if data.startswith(PNG):
        pixels, exif = only_pixels(data)
        samples = _by_opencv(pixels, _UNCHANGED) if header.plain else _by_pillow(pixels, max_pixels)
        return _upright(samples, exif) if exif else samples
    return _jpeg(data, header, jpeg_side) if header.plain else _by_pillow(data, max_pixels)


def _jpeg(data: bytes, header: Header, side: int) -> Samples:
    """The JPEG decoder itself scales by 1/2, 1/4 or 1/8, from the frequencies: far less work."""
    return _by_opencv(data, _REDUCED[min(_reduction(header.width, header.height, side), 8)])


def _by_opencv(data: bytes, flags: int) -> Samples:
    found = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if found is None:
        raise ImageError("corrupt", "cannot be decoded: its pixels are damaged")
    return found


def _by_pillow(data: bytes, max_pixels: int) -> Samples:
    from mnist_pipeline.imaging import pillow  # which most jobs never need, and takes its time to load

    samples = pillow.read_samples(data, max_pixels)
    return _tiff(data, max_pixels) if samples is None else samples


def _tiff(data: bytes, max_pixels: int) -> Samples:
    """OpenCV reads samples of every size and kind, and turns the image upright."""
    samples = _by_opencv(data, _UNCHANGED)
    require_size(samples.shape[1], samples.shape[0], max_pixels)
    return samples


def _upright(samples: Samples, exif: bytes) -> Samples:
    """Turned as EXIF data says, as far as it can be read."""
    from mnist_pipeline.imaging import pillow

    turned = {
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: a.swapaxes(0, 1)[:, ::-1],
        7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
        8: lambda a: a.swapaxes(0, 1)[::-1],
    }.get(pillow.orientation(exif))
    return samples if turned is None else np.ascontiguousarray(turned(samples))


def _reduction(width: int, height: int, side: int = MAX_SIDE) -> int:
    """The power of two by which an image is reduced."""
    factor = 1
    while max(width, height) > factor * side:
        factor *= 2
    return factor


def _too_large() -> ImageError:
    return ImageError("too large", "needs more memory than a worker may use")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
