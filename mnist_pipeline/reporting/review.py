"""The review sheet: one file in which people say what images show, without a server."""

import hashlib
import os
from pathlib import Path
from typing import Any

from mnist_pipeline.labels.review import choose_readable
from mnist_pipeline.reporting.environment import csp_digest, environment
from mnist_pipeline.runs.wording import percent
from mnist_pipeline.scoring.outputs import GENERATOR
from mnist_pipeline.scoring.rows import ScoredRow
from mnist_pipeline.scoring.sources.reading import Location

SHARED = Path(__file__).with_name("templates")
"""Folder of reviewer.js and reviewer.css, which the page that is served has in common with the sheet."""


def model_answer(row: ScoredRow) -> dict[str, str]:
    """What the model said: ``label`` as people would give it, and ``text`` in words."""
    if row.status != "ok":
        return {"label": "none", "text": f"no digit ({row.reason})"}
    return {"label": str(row.digit), "text": f"{row.digit} ({percent(row.confidence or 0.0, 1)})"}


def review_sheet(output: Path, location: Location, count: int) -> str:
    """The sheet of a scored output, as HTML that needs nothing but itself; answers are saved from the browser.

    Images whose names are no UTF-8, which a table cannot hold, are left out.

    Args:
        output: of `score`.
        location: where its images are; a folder or a list.
        count: images at most.

    Raises:
        UsageError: the output cannot be read.
    """
    images = []
    for image, picture in choose_readable(output, location, count):
        path = os.path.join(os.fsencode(location.root), image.row.name)  # noqa: PTH118 - bytes
        try:
            named = path.decode()
        except UnicodeDecodeError:
            continue
        images.append({"path": named, "picture": picture.uri, "model": model_answer(image.row)})
    return _render(images)


def _render(images: list[dict[str, Any]]) -> str:
    templates = environment(html=True)
    style, script = (
        "".join((SHARED / f"{name}.{kind}").read_text(encoding="utf-8") for name in names)
        for kind, names in (("css", ("review_sheet", "reviewer")), ("js", ("reviewer", "review_sheet")))
    )
    name = hashlib.sha256("\0".join(image["path"] for image in images).encode()).hexdigest()[:16]
    return templates.get_template("review_sheet.html.j2").render(
        images=images,
        name=name,
        style=style,
        style_digest=csp_digest(style),
        script=script,
        script_digest=csp_digest(script),
        generator=GENERATOR,
    )
