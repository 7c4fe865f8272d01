"""How the reports write numbers. One rule for each kind of quantity, and nothing else formats any.

A no-break space stands between number and unit; a true minus sign before what is negative.
"""

from collections.abc import Sequence

from mnist_pipeline.runs.wording import NO_BREAK_SPACE, percent

__all__ = ["percent"]
MINUS = "\u2212"
TIMES = "\u00d7"
_RAISED = str.maketrans("0123456789-", "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207b")


def points(difference: float, digits: int = 2) -> str:
    """A difference of fractions in percentage points: 0.0012 -> "+0.12"; zero has no sign."""
    text = f"{abs(difference) * 100:.{digits}f}"
    if float(text) == 0:
        return text
    return f"+{text}" if difference > 0 else f"{MINUS}{text}"


def count(number: float) -> str:
    """10000 -> "10,000"."""
    return f"{number:,.0f}".replace("-", MINUS)


def decimal(number: float, digits: int = 4) -> str:
    """0.04567 -> "0.0457"."""
    return f"{number:.{digits}f}".replace("-", MINUS)


def plain(number: float) -> str:
    """A number of unknown kind: 0.88107 -> "0.8811"; 25312 -> "25,312"; 8.6e-7 as `scientific` does."""
    if abs(number) >= 1000:
        return count(number)
    if 0 < abs(number) < 1e-4:
        return scientific(number)
    return f"{number + 0.0:.4g}".replace("-", MINUS)


def scientific(number: float) -> str:
    """1.3e-07 -> "1.3", a multiplication sign, and ten with its exponent raised; 0 -> "0"."""
    if number == 0:
        return "0"
    factor, _, exponent = f"{abs(number):.1e}".partition("e")
    power = str(int(exponent)).translate(_RAISED)
    return f"{MINUS if number < 0 else ''}{factor}{NO_BREAK_SPACE}{TIMES}{NO_BREAK_SPACE}10{power}"


def probability(p_value: float) -> str:
    """A p-value with its sign of equality: "= 0.031", "< 0.001"."""
    return "< 0.001" if p_value < 0.001 else f"= {p_value:.3f}"


def milliseconds(value: float) -> str:
    """Three significant digits: 0.1234 -> "0.123 ms"; 41.26 -> "41.3 ms"."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:,.{digits}f}{NO_BREAK_SPACE}ms"


def seconds(value: float) -> str:
    """0.42 -> "0.4 s"; 72.3 -> "1 min 12 s"; 3700 -> "1 h 2 min"."""
    space = NO_BREAK_SPACE
    if value < 59.95:
        return f"{value:.1f}{space}s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes}{space}min {rest}{space}s"
    return f"{minutes // 60}{space}h {minutes % 60}{space}min"


def size(number: float) -> str:
    """Bytes in decimal units: 25100 -> "25.1 kB"."""
    for unit in ("bytes", "kB", "MB"):
        if number < 1000:
            return f"{number:,.0f}{NO_BREAK_SPACE}{unit}" if unit == "bytes" else f"{number:.1f}{NO_BREAK_SPACE}{unit}"
        number /= 1000
    return f"{number:.1f}{NO_BREAK_SPACE}GB"


def shape(dimensions: Sequence[int | None]) -> str:
    """(None, 24, 24, 8) -> "N", 24, 24 and 8 with multiplication signs between them."""
    return f" {TIMES} ".join("N" if dimension is None else str(dimension) for dimension in dimensions)


FORMATS = (percent, points, count, plain, decimal, scientific, probability, milliseconds, seconds, size, shape)
"""What templates call by name."""
