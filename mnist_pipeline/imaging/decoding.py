"""Image files to grey planes: what the bytes are, not what the name says, decides. Pure: bytes in, arrays out.

One conversion for each kind of image:

=====================  ==============================================================================
grey 8 bit             as it is
1 bit                  0 and 255
grey 16 bit, 32 bit    divided by 257 (32-bit floats: stretched to 0..255), fractions kept
colour, palette, CMYK  Pillow's conversion to RGB, then ITU-R 601 luminance
alpha                  see `_flatten`: the ink may be in the colour, or in the alpha channel alone
EXIF orientation       applied
several frames         the first
photo-size             reduced by whole factors until the longer side is less than twice `WORK_SIDE`
=====================  ==============================================================================
"""

import io
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin

from mnist_pipeline.imaging.errors import ImageError
from mnist_pipeline.imaging.plain_png import END

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF")
"""No format that is a program (EPS, PS, PDF), and none that starts one."""
_REGISTERED = (TiffImagePlugin, WebPImagePlugin)  # the others are what Pillow loads first by itself
WORK_SIDE = 384
"""A plane's longer side is at least this where the image has as much; less than twice as much in any case."""

# Our own limit is checked on the header, with our own message.
Image.MAX_IMAGE_PIXELS = None
ImageFile.LOAD_TRUNCATED_IMAGES = False

Plane = NDArray[np.uint8] | NDArray[np.float32]


def decode(data: bytes, max_pixels: int) -> Plane:
    """The grey plane of an image file.

    Args:
        data: the file's bytes.
        max_pixels: largest width x height that is decoded.

    Returns:
        uint8 or float32 [height, width], 0 = black, 255 = white.

    Raises:
        ImageError: kinds ``not an image``, ``corrupt``, ``too large``.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd metadata is not the user's concern here
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _require_size(image, max_pixels)
                plane = _to_plane(_load(image))
                _require_end(data, image.format or "")
                return plane
    except UnidentifiedImageError:
        raise ImageError("not an image", f"none of {', '.join(FORMATS)} by its content") from None
    except MemoryError:
        raise ImageError("too large", "needs more memory than a worker may use") from None
    except ImageError:
        raise
    except Exception as error:  # decoders raise what they like on damaged files
        raise ImageError("corrupt", f"cannot be decoded: {_one_line(error)}") from None


def _require_size(image: Image.Image, max_pixels: int) -> None:
    """By the header, before anything is decoded."""
    if image.width * image.height > max_pixels:
        size = f"{image.width:,} x {image.height:,} pixels"
        raise ImageError("too large", f"{size}; at most {max_pixels:,} are decoded")


def _require_end(data: bytes, kind: str) -> None:
    """Decoders forgive a missing last marker; a file without one was cut off, and may have been longer."""
    whole = {
        "PNG": lambda: END in data,
        # Inside the entropy-coded data no marker can occur by chance.
        "JPEG": lambda: data.rfind(b"\xff\xd9") > data.find(b"\xff\xda"),
        "GIF": lambda: data.rstrip(b"\0").endswith(b";"),
    }.get(kind)
    if whole is not None and not whole():
        raise ImageError("corrupt", "is cut off before its end marker")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _load(image: Image.Image) -> Image.Image:
    """Decode the pixels, upright and at work size."""
    longer = max(image.size)
    if image.format == "JPEG" and longer >= 2 * WORK_SIDE:
        # The JPEG decoder itself scales by 1/2, 1/4 or 1/8, from the frequencies: far less work.
        image.draft(None, (max(1, image.width * WORK_SIDE // longer), max(1, image.height * WORK_SIDE // longer)))
    image.load()
    upright = ImageOps.exif_transpose(image)
    if (factor := max(upright.size) // WORK_SIDE) > 1:
        upright = _reducible(upright).reduce(factor)
    return upright


def _reducible(image: Image.Image) -> Image.Image:
    """In a mode whose pixels may be averaged: not palette indices, and colour weighted by its alpha."""
    if _has_alpha(image):
        return image.convert("RGBA").convert("RGBa")
    if image.mode in {"1", "P"}:
        return image.convert("L" if image.mode == "1" else "RGB")
    return image.convert("F") if image.mode.startswith("I") else image


def _has_alpha(image: Image.Image) -> bool:
    return image.mode in {"LA", "La", "PA", "RGBA", "RGBa"} or "transparency" in image.info


def _to_plane(image: Image.Image) -> Plane:
    if image.mode == "RGBa" or _has_alpha(image):
        return _flatten(image)
    if image.mode == "L":
        return np.asarray(image)
    if image.mode == "F" or image.mode.startswith("I"):
        return _to_bytes_range(np.asarray(image.convert("F")))
    if image.mode in {"1", "RGB", "YCbCr"}:
        return np.asarray(image.convert("L"))
    return np.asarray(image.convert("RGB").convert("L"))


def _to_bytes_range(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """16-bit values over 257; anything that is not in their range, stretched to 0..255."""
    if not np.isfinite(values).all():
        raise ImageError("corrupt", "holds values that are no finite numbers")
    low, high = float(values.min()), float(values.max())
    if low >= 0 and 1 < high <= 65_535:
        return (values / np.float32(257)).astype(np.float32)
    return ((values - low) * np.float32(255 / max(high - low, 1e-6))).astype(np.float32)


def _flatten(image: Image.Image) -> Plane:
    """Put an image with transparency onto a background.

    * Nothing is transparent: the colours alone.
    * The visible colours hardly differ: the ink is the alpha channel, drawn dark on light.
    * Else the colours tell: they are laid on their own median where most of the image is opaque (a cut-out),
      on the far end of the grey scale where it is not (strokes on nothing).
    """
    rgba = image.convert("RGBA")
    alpha = np.asarray(rgba.getchannel("A"))
    grey = np.asarray(rgba.convert("RGB").convert("L"))
    if alpha.min() == 255:
        return grey
    visible = grey[alpha > 127]
    if not visible.size:
        visible = grey[alpha > 0]
    if not visible.size:
        return np.full(grey.shape, 255, np.uint8)
    low, high = np.percentile(visible, (5, 95))
    if high - low < 64:
        return (255 - alpha).astype(np.uint8)
    if visible.size > grey.size / 2:
        background = float(np.median(visible))
    else:
        background = 255.0 if float(visible.mean()) < 128 else 0.0
    weight = alpha.astype(np.float32) / 255
    flat: NDArray[np.float32] = (grey * weight + np.float32(background) * (1 - weight)).astype(np.float32)
    return flat
