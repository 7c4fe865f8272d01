"""How shares, numbers of things and times are written in sentences and tables, everywhere."""

from datetime import UTC, datetime

NO_BREAK_SPACE = "\u00a0"


def percent(fraction: float, digits: int = 2) -> str:
    """0.98765 -> "98.77 %", with a no-break space. What is less than all is never written as 100 %."""
    text = f"{fraction:.{digits}%}".removesuffix("%")
    if fraction < 1 and float(text) >= 100:
        text = f"> {100 - 10**-digits:.{digits}f}"
    return f"{text}{NO_BREAK_SPACE}%"


def plain_percent(fraction: float) -> str:
    """As `percent`, with a plain space, which a search finds: for sentences that are stored, logged or printed."""
    return percent(fraction).replace(NO_BREAK_SPACE, " ")


def quantity(number: int, noun: str) -> str:
    """Such as "1 image", or "2,000 images"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def moment(time: datetime) -> str:
    """An aware time, to the minute, in UTC: "2026-11-25 21:07 UTC"."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
