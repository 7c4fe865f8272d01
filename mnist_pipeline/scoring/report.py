"""What to check by eye first: a page with the distribution, the rejected and least confident images, and the errors."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from typing import Any

from mnist_pipeline.scoring.records import ScoreSummary
from mnist_pipeline.scoring.statistics import BINS, Tally

GENERATOR = "mnist-pipeline score"
"""What the page says made it."""
HEAD_BYTES = 1_024
"""The page says so within these."""


@dataclass(frozen=True, slots=True)
class Card:
    """One image: what was said of it, where it is, and two pictures (data URIs, "" where there is none)."""

    answer: str
    remark: str
    path: str
    original: str
    prepared: str


@dataclass(frozen=True, slots=True)
class Cards:
    """The images that are shown."""

    rejected: list[Card]
    doubtful: list[Card]


def pictured(tally: Tally) -> list[bytes]:
    """Names of the images that are shown."""
    return [*(one.name for one in tally.first_rejected), *(one.name for one in tally.least_confident)]


def cards(tally: Tally, pictures: Sequence[dict[str, Any]]) -> Cards:
    """The images that are shown, with the pictures of `pictured`; some may lack at the end."""
    shown = chain(pictures, repeat({"original": "", "prepared": ""}))
    rejected = [Card(one.reason, "", one.path, **next(shown)) for one in tally.first_rejected]
    doubtful = [
        Card(
            str(one.digit),
            f"with {100 * one.confidence:.1f} %" + (f" ({one.status})" if one.status != "ok" else ""),
            one.path,
            **next(shown),
        )
        for one in tally.least_confident
    ]
    return Cards(rejected, doubtful)


def render_report(summary: ScoreSummary, confidences: Sequence[int], shown: Cards) -> str:
    """The page as HTML that needs nothing but itself: no script, no address, its own style by digest.

    Args:
        summary: of the job.
        confidences: answers in each of the equal bins of the confidence, from 0 to 1.
        shown: the images that are shown.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("mnist_pipeline.scoring"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = environment.get_template("style.css").render()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return environment.get_template("report.html.j2").render(
        summary=summary,
        confidences=list(confidences),
        tallest=max([1, *confidences]),
        most=max([1, *summary.digits.values()]),
        shown=shown,
        style=style,
        style_digest=digest,
        generator=GENERATOR,
    )


def is_report(path: Path, *, of: str = "") -> bool:
    """Whether the file is such a page; and of the output with this SHA-256, where one is given."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return False
    return f'content="{GENERATOR}"'.encode() in head and of.encode() in head


def histogram(tally: Tally) -> list[int]:
    """Answers in each bin of the confidence."""
    return [tally.confidences[bin_] for bin_ in range(BINS)]
