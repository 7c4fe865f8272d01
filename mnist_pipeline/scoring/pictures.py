"""Small pictures of images for the report: as they are, and as the model saw them."""

import base64
import io
import warnings

from PIL import Image, ImageOps

from mnist_pipeline.imaging.decoding import decode
from mnist_pipeline.imaging.errors import ImageError
from mnist_pipeline.imaging.formats import READ
from mnist_pipeline.scoring.classify import Job, Model, as_seen

THUMBNAIL = 96
"""Longer side of a picture, pixels."""


def picture(name: bytes, job: Job, model: Model) -> dict[str, str]:
    """``original`` and ``prepared`` as data URIs of PNG images, or empty where there is none."""
    try:
        data, _ = job.reader.read(name)
        plane = decode(data, job.max_pixels)
        seen = Image.fromarray(as_seen(plane, job.mode, model))
    except (ImageError, OSError):
        return {"original": "", "prepared": ""}
    try:
        shown = _colours(data)
    except Exception:  # what Pillow does not read is shown in grey
        shown = Image.fromarray(plane)
    shown.thumbnail((THUMBNAIL, THUMBNAIL))
    return {"original": _data_uri(shown), "prepared": _data_uri(seen)}


def _colours(data: bytes) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(data), formats=READ) as image:
            image.draft(None, (THUMBNAIL, THUMBNAIL))
            return ImageOps.exif_transpose(image).convert("RGBA")


def _data_uri(image: Image.Image) -> str:
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"
