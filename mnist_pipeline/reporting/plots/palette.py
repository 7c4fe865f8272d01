"""The colours of the charts, by what they stand for: on paper, and as the CSS variables of a page."""

from collections.abc import Mapping
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of a chart, by what they stand for."""

    paper: str
    ink: str
    muted: str
    rule: str
    first: str
    """Training; the candidate."""
    second: str
    """Validation; the other run."""
    right: str
    """The diagonal of the confusion matrix."""
    wrong: str
    mark: str
    """The one thing to look at: a threshold, the kept epoch."""


PAPER = Palette(
    paper="#ffffff",
    ink="#1c2126",
    muted="#5b6570",
    rule="#d8dce0",
    first="#1f5fbf",
    second="#b3541e",
    right="#1f5fbf",
    wrong="#c2410c",
    mark="#7a3db8",
)
"""For PNG and SVG files: on white."""

# Stand-ins that no drawing uses otherwise; `inline_svg` replaces each by the page's CSS variable.
TOKENS = Palette(
    **{colour.name: f"#0{number:x}0b0c" for number, colour in enumerate(fields(Palette), start=1)},
)
VARIABLES: Mapping[str, str] = {getattr(TOKENS, colour.name): f"--chart-{colour.name}" for colour in fields(Palette)}
