"""What to check by eye first: a page with the distribution, the rejected and least confident images, and the errors."""

from collections.abc import Sequence
from itertools import chain, repeat
from typing import NamedTuple

from mnist_pipeline.reporting.environment import csp_digest, environment
from mnist_pipeline.scoring.outputs import GENERATOR
from mnist_pipeline.scoring.statistics import Statistics
from mnist_pipeline.scoring.summary import ScoreSummary


class Card(NamedTuple):
    """One image: what was said of it, where it is, and two pictures (data URIs, "" for a missing one)."""

    answer: str
    remark: str
    path: str
    original: str
    prepared: str


def render_scoring_report(summary: ScoreSummary, statistics: Statistics, pictures: Sequence[dict[str, str]]) -> str:
    """The page as HTML that needs nothing but itself: no script, no address, its own style by digest.

    Args:
        summary: of the job.
        statistics: of its rows.
        pictures: of the images that `Statistics.shown` names; some may lack at the end.
    """
    left = chain(pictures, repeat({"original": "", "prepared": ""}))
    rejected = [Card(one.reason, "", one.path, **next(left)) for one in statistics.first_rejected]
    doubtful = [
        Card(
            str(one.digit),
            f"with {100 * one.confidence:.1f} %" + (f" ({one.status})" if one.status != "ok" else ""),
            one.path,
            **next(left),
        )
        for one in statistics.least_confident
    ]
    templates = environment(html=True)
    style = templates.get_template("scoring.css").render()
    return templates.get_template("scoring.html.j2").render(
        summary=summary,
        confidences=statistics.histogram,
        tallest=max([1, *statistics.histogram]),
        most=max([1, *summary.digits.values()]),
        rejected=rejected,
        doubtful=doubtful,
        style=style,
        style_digest=csp_digest(style),
        generator=GENERATOR,
    )
