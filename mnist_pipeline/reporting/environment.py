"""Where the templates lie, how they write numbers and times, and how a page names what it lets in."""

import base64
import hashlib
from functools import cache
from typing import TYPE_CHECKING

from mnist_pipeline.reporting.format import FORMATS
from mnist_pipeline.runs.wording import moment, quantity

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def environment(*, html: bool) -> "Environment":
    """The templates of this room, with a filter for each kind of number; with ``html`` every text is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    found = Environment(
        loader=PackageLoader("mnist_pipeline.reporting"),
        autoescape=html,  # noqa: S701 - Markdown has rules of its own: `markdown.escape`
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {written.__name__: written for written in (*FORMATS, moment, quantity)}
    return found


def csp_digest(text: str) -> str:
    """SHA-256 of a style or a script in base64, as a Content-Security-Policy names it behind ``sha256-``."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
