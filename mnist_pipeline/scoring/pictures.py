"""Small pictures of images for the report: as they are, and as the model saw them."""

import base64
import io
import warnings

from PIL import Image, ImageOps

from mnist_pipeline.imaging.decoding import decode
from mnist_pipeline.imaging.errors import ImageError
from mnist_pipeline.imaging.formats import READ
from mnist_pipeline.imaging.planes import Plane
from mnist_pipeline.scoring.classify import Job, Model, as_seen

THUMBNAIL = 96
"""Longer side of a picture, pixels."""


def picture(name: bytes, job: Job, model: Model) -> dict[str, str]:
    """``original`` and ``prepared`` as data URIs of PNG images, or empty where there is none."""
    try:
        data, _ = job.reader.read(name)
        plane = decode(data, job.max_pixels)
        seen = as_seen(plane, job.mode, model)
    except (ImageError, OSError):
        return {"original": "", "prepared": ""}
    return {"original": data_uri(_shown(data, plane, THUMBNAIL)), "prepared": data_uri(_png(Image.fromarray(seen)))}


def picture_png(data: bytes, max_pixels: int, side: int) -> bytes:
    """The image as a browser shows it: a PNG file whose longer side is at most so many pixels.

    Raises:
        ImageError: it is no image that is read.
    """
    return _shown(data, decode(data, max_pixels), side)


def data_uri(png: bytes) -> str:
    """The PNG file as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _shown(data: bytes, plane: Plane, side: int) -> bytes:
    try:
        shown = _colours(data, side)
    except Exception:  # what Pillow does not read is shown in grey
        shown = Image.fromarray(plane)
    shown.thumbnail((side, side))
    return _png(shown)


def _colours(data: bytes, side: int) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(data), formats=READ) as image:
            image.draft(None, (side, side))
            return ImageOps.exif_transpose(image).convert("RGBA")


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()
