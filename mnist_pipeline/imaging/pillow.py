"""What Pillow reads: every format but those that OpenCV reads whole. Pure: bytes in, arrays out."""

import io
import warnings

import numpy as np
from PIL import Image, ImageFile, ImageOps, TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin

from mnist_pipeline.imaging.errors import ImageError, require_size
from mnist_pipeline.imaging.formats import READ, name_unread
from mnist_pipeline.imaging.planes import Samples

_REGISTERED = (TiffImagePlugin, WebPImagePlugin)  # the others are what Pillow loads first by itself
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_ORIENTATION = 0x0112

# Our own limit is checked on the header, with our own message.
Image.MAX_IMAGE_PIXELS = None
ImageFile.LOAD_TRUNCATED_IMAGES = False


def read_samples(data: bytes, max_pixels: int) -> Samples | None:
    """The first frame, upright; None for a TIFF file whose samples Pillow would round, or does not know.

    Raises:
        ImageError: kinds ``not an image``, ``corrupt``, ``too large``.
        Exception: whatever Pillow raises on damaged files.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd metadata is not the user's concern here
        try:
            image = Image.open(io.BytesIO(data), formats=READ)
        except UnidentifiedImageError:
            if data.startswith(_TIFF):
                return None
            raise ImageError("not an image", name_unread(data)) from None
        with image:
            require_size(image.width, image.height, max_pixels)
            if _has_other_samples(image):
                return None
            if image.format == "GIF" and not data.rstrip(b"\0").endswith(b";"):
                raise ImageError("corrupt", "is cut off before its end marker")
            image.load()
            samples = _to_samples(_transposed(image))
            # Writers of BMP leave the fourth byte 0.
            unused = image.format == "BMP" and samples.ndim == 3 and not samples[:, :, 3:].any()
            return samples[:, :, :3] if unused else samples


def orientation(exif: bytes) -> int:
    """What EXIF data says of how an image is turned, 1 to 8; 1, which is upright, where it cannot be read."""
    try:
        found = Image.Exif()
        found.load(exif)
        return int(found.get(_ORIENTATION, 1))
    except Exception:
        return 1


def _has_other_samples(image: Image.Image) -> bool:
    """A TIFF file whose samples Pillow would round to 8 bits, or take for unsigned ones."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return False
    bits, kinds = (image.tag_v2.get(tag, (1,)) for tag in (TiffImagePlugin.BITSPERSAMPLE, TiffImagePlugin.SAMPLEFORMAT))
    return bool(max(bits) > 8 or max(kinds) > 1)


def _transposed(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # EXIF that cannot be read turns nothing
        return image


def _to_samples(image: Image.Image) -> Samples:
    """An 8-bit image as an array."""
    if image.mode in {"LA", "La", "PA", "RGBA", "RGBa"} or "transparency" in image.info:
        return np.asarray(image.convert("RGBA"))[:, :, [2, 1, 0, 3]]
    if image.mode in {"1", "L"}:
        return np.asarray(image.convert("L"))
    return np.asarray(image.convert("RGB"))[:, :, ::-1]
