"""Small pictures of images for the report: as they are, and as the model saw them."""

import base64
import io
import warnings
from dataclasses import replace
from typing import NamedTuple

from PIL import Image, ImageOps

from mnist_pipeline.imaging.decoding import decode
from mnist_pipeline.imaging.errors import ImageError
from mnist_pipeline.imaging.formats import READ
from mnist_pipeline.imaging.planes import Plane
from mnist_pipeline.scoring.classify import Model, score_one
from mnist_pipeline.scoring.items import Preprocessing
from mnist_pipeline.scoring.sources.reading import BytesReader

THUMBNAIL = 96
"""Longer side of a picture, pixels."""
JPEG_QUALITY = 85


class Picture(NamedTuple):
    """A file that browsers show.

    Attributes:
        data: the file.
        media_type: such as image/png.
    """

    data: bytes
    media_type: str

    @property
    def uri(self) -> str:
        """The address that holds it."""
        return f"data:{self.media_type};base64,{base64.b64encode(self.data).decode()}"


def picture(name: bytes, preprocessing: Preprocessing, model: Model) -> dict[str, str]:
    """``original`` and ``prepared`` as data URIs of PNG files, or empty where one cannot be had."""
    try:
        data, _ = preprocessing.reader.read(name)
    except (ImageError, OSError):
        return {"original": "", "prepared": ""}
    item, rows = score_one(name, replace(preprocessing, reader=BytesReader(data, len(data))), model)
    if item.plane is None:
        return {"original": "", "prepared": ""}
    shown, prepared = _shown(data, item.plane, THUMBNAIL), Image.fromarray(rows.seen[0])
    return {"original": _written(shown, "PNG").uri, "prepared": _written(prepared, "PNG").uri}


def readable_picture(data: bytes, max_pixels: int, side: int) -> Picture:
    """The image as people read it, on any background; the longer side has at most so many pixels.

    Small ones keep every pixel; a large one becomes a JPEG, which is a tenth of its PNG.

    Raises:
        ImageError: it is no image that is read.
    """
    plane = decode(data, max_pixels)
    shown = _shown(data, plane, side)
    if shown.mode == "RGBA" and shown.getchannel("A").getextrema() != (255, 255):
        shown = Image.fromarray(plane)  # where one could see through it, as it was decoded
        shown.thumbnail((side, side))
    return _written(shown.convert("RGB"), "PNG" if max(plane.shape) <= side else "JPEG")


def _shown(data: bytes, plane: Plane, side: int) -> Image.Image:
    try:
        shown = _colours(data, side)
    except Exception:  # what Pillow does not read is shown in grey
        shown = Image.fromarray(plane)
    shown.thumbnail((side, side))
    return shown


def _colours(data: bytes, side: int) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(data), formats=READ) as image:
            image.draft(None, (side, side))
            return ImageOps.exif_transpose(image).convert("RGBA")


def _written(image: Image.Image, kind: str) -> Picture:
    out = io.BytesIO()
    image.save(out, kind, optimize=True, quality=JPEG_QUALITY)
    return Picture(out.getvalue(), f"image/{kind.lower()}")
