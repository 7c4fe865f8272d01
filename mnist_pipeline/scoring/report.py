"""What to check by eye first: a page with the distribution, the least confident images and the errors."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mnist_pipeline.scoring.records import ScoreSummary
from mnist_pipeline.scoring.tally import BINS, Tally


@dataclass(frozen=True, slots=True)
class Card:
    """One doubtful image: where it is, what was said of it, and two pictures (data URIs, "" where there is none)."""

    path: str
    status: str
    digit: int
    confidence: float
    original: str
    prepared: str


def cards(tally: Tally, pictures: Sequence[dict[str, Any]]) -> list[Card]:
    """The least confident images with their pictures, in order."""
    shown = [*pictures, *[{"original": "", "prepared": ""}] * (len(tally.least_confident) - len(pictures))]
    return [
        Card(one.path, one.status, one.digit, one.confidence, picture["original"], picture["prepared"])
        for one, picture in zip(tally.least_confident, shown, strict=True)
    ]


def render_report(summary: ScoreSummary, confidences: Sequence[int], doubtful: Sequence[Card]) -> str:
    """The page as HTML that needs nothing but itself: no script, no address, its own style by digest.

    Args:
        summary: of the job.
        confidences: answers in each of the equal bins of the confidence, from 0 to 1.
        doubtful: the least confident images, in order.
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
        doubtful=doubtful,
        style=style,
        style_digest=digest,
    )


def histogram(tally: Tally) -> list[int]:
    """Answers in each bin of the confidence."""
    return [tally.confidences[bin_] for bin_ in range(BINS)]
