"""Records as lines of text. No value is ever cut, nor broken over lines. Nothing here writes anything.

On a terminal a table is aligned and fits the width: its last columns are left out, and named, where they
have no room; where not even the needed ones have, each record becomes a block of its own. For a pipe a
record is one line with tabs between the values and no heading, for ``cut``, ``awk`` and ``grep``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from textwrap import wrap

from rich.cells import cell_len

from mnist_pipeline.runs.wording import NO_BREAK_SPACE

GAP = "  "
INDENT = 4


@dataclass(frozen=True, slots=True)
class Table:
    """Records as text.

    Attributes:
        columns: names of the columns, the most important one first.
        rows: for each record a text for each column, and last its prose where the table has some.
        needed: so many of the first columns are never left out.
        prose: name of a last column of sentences. A sentence that has no room beside its record follows below it.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    needed: int = 2
    prose: str | None = None


def render(table: Table, width: int | None) -> list[str]:
    """The lines of a table.

    Args:
        table: what to show.
        width: columns of the terminal; None for a pipe.

    Returns:
        Lines of at most ``width`` columns, but for one that holds nothing except a single longer value.
    """
    table = replace(table, rows=[tuple(map(escaped, row)) for row in table.rows])
    if width is None:
        return ["\t".join(row) for row in table.rows]
    if not table.rows:
        return []
    cells = [row[: len(table.columns)] for row in table.rows]  # without their prose
    widths = [max(map(cell_len, column)) for column in zip(table.columns, *cells, strict=True)]
    shown = next((n for n in range(len(widths), table.needed - 1, -1) if _total(widths[:n]) <= width), None)
    if shown is None:
        return _blocks(table, width)
    return [*_aligned(table, widths[:shown], width), *_left_out(table.columns[shown:], width)]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _aligned(table: Table, widths: Sequence[int], width: int) -> list[str]:
    total = _total(widths)
    heading = _line([name.upper() for name in table.columns], widths)
    lines = _beside(heading, total, (table.prose or "").upper(), width)[:1]
    for row in table.rows:
        lines += _beside(_line(row, widths), total, row[-1] if table.prose else "", width)
    return lines


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return GAP.join(_padded(cell, width) for cell, width in zip(cells, widths, strict=False)).rstrip()


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))


def _beside(text: str, column: int, more: str, width: int) -> list[str]:
    """A text of at most so many columns with more beside it; below it, where that has no room there."""
    beside = f"{_padded(text, column)}{GAP}{more}" if more else text
    return [beside] if cell_len(beside) <= width or not more else [text, _alone(more, width)]


def _alone(text: str, width: int) -> str:
    """A value on a line of its own, indented as far as its length lets it."""
    return " " * min(INDENT, max(0, width - cell_len(text))) + text


def _blocks(table: Table, width: int) -> list[str]:
    """One record a block, a line for each value; a value that has no room beside its name, below it."""
    names = [*table.columns, *([table.prose] if table.prose else [])]
    label = max(map(cell_len, names))
    lines: list[str] = []
    for row in table.rows:
        lines += [""] if lines else []
        for name, cell in zip(names, row, strict=True):
            lines += _beside(name, label, cell, width) if cell else []
    return lines


def _left_out(names: Sequence[str], width: int) -> list[str]:
    if not names:
        return []
    said = f"left out for want of room: {', '.join(names)}; a pipe and --json have everything"
    return wrap(said, width, break_long_words=False, break_on_hyphens=False)


def escaped(text: str) -> str:
    """The text with every character that moves the cursor or cannot be seen written as an escape.

    A byte of a file name that is not UTF-8 is written as ``xNN`` behind a backslash, as in the rows of `score`.
    """
    return "".join(_shown(character) for character in text)


def one_line(text: str) -> str:
    """Prose that a library may have broken over several lines, as one escaped line."""
    return escaped(" ".join(text.split()))


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    if character == NO_BREAK_SPACE:
        return " "
    if "\udc80" <= character <= "\udcff":  # how Python keeps a byte that it could not decode (PEP 383)
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape", "surrogatepass").decode()
