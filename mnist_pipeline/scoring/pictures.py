"""Small pictures of images for the report: as they are, and as the model saw them."""

import base64
import io
from typing import Any

from PIL import Image, ImageOps

from mnist_pipeline.imaging.decoding import FORMATS
from mnist_pipeline.imaging.errors import ImageError
from mnist_pipeline.imaging.plain_png import Canvas
from mnist_pipeline.scoring.classify import Job, prepare

THUMBNAIL = 96
"""Longer side of a picture, pixels."""


def picture(name: bytes, job: Job) -> dict[str, Any]:
    """``original`` and ``prepared`` as data URIs of PNG images, or empty where there is none."""
    try:
        data, _ = job.reader.read(name)
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            image.draft(None, (THUMBNAIL, THUMBNAIL))
            shown = ImageOps.exif_transpose(image).convert("RGBA")
        shown.thumbnail((THUMBNAIL, THUMBNAIL))
    except (ImageError, OSError, ValueError, SyntaxError):
        return {"original": "", "prepared": ""}
    seen = prepare([name], job, Canvas(1), {})
    return {"original": _data_uri(shown), "prepared": _data_uri(Image.fromarray(seen.images[0]))}


def _data_uri(image: Image.Image) -> str:
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"
