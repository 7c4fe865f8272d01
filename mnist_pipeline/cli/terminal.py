"""What a command says, and where: results on stdout, everything else on stderr."""

import json
import logging
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from mnist_pipeline.progress import Progress, ReportProgress, no_progress

LINE_SECONDS = 10.0
LONGEST_WHOLE = 24
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


class Terminal:
    """The two streams of a command, as its ``--json``, ``--quiet`` and ``--verbose`` want them."""

    def __init__(self, *, as_json: bool = False, quiet: bool = False, verbose: bool = False) -> None:
        self.as_json = as_json
        self._quiet = quiet
        self._out = Console(soft_wrap=True, highlight=False)
        self._err = Console(stderr=True, soft_wrap=True, highlight=False)
        self._show_logs(logging.ERROR if quiet else logging.DEBUG if verbose else logging.WARNING)

    @classmethod
    def open(cls, ctx: typer.Context, *, as_json: bool = False, quiet: bool = False, verbose: bool = False) -> Self:
        """The terminal of a command, which also tells how the command ends (`app.CommandGroup`)."""
        terminal = cls(as_json=as_json, quiet=quiet, verbose=verbose)
        ctx.find_root().obj = terminal
        return terminal

    def _show_logs(self, level: int) -> None:
        logger = logging.getLogger("mnist_pipeline")
        logger.setLevel(min(level, logging.INFO))  # Prefect's API handler takes INFO whatever is shown here
        for handler in [handler for handler in logger.handlers if isinstance(handler, _Log)]:
            logger.removeHandler(handler)
        logger.addHandler(_Log(self._err, level))

    def say(self, line: str) -> None:
        """A line of news for people."""
        if not self._quiet:
            self._err.print(escape(line))

    def warn(self, line: str) -> None:
        """A line that must be seen, even with ``--quiet``."""
        self._err.print(f"[bold yellow]warning:[/] {escape(line)}")

    def fail(self, error: str) -> None:
        """Why the command ends; with ``--json`` an object on stdout as well."""
        self._err.print(f"[bold red]error:[/] {escape(error)}")
        if self.as_json:
            self._print_json({"status": "failed", "error": error})

    def result(self, value: Mapping[str, Any] | Sequence[Any], *lines: str) -> None:
        """The command's result: one JSON object with ``--json``, else the lines for people."""
        if self.as_json:
            self._print_json(value)
        else:
            for line in lines:
                self._out.print(escape(line))

    def table(self, value: Sequence[Mapping[str, Any]], *, title: str = "", columns: Sequence[str] = ()) -> None:
        """Rows with the same keys: a JSON array with ``--json``, else a table of the named columns."""
        if self.as_json:
            self._print_json(value)
            return
        names = columns or (list(value[0]) if value else [])
        table = Table(box=None, pad_edge=False, title=title or None, title_justify="left")
        columns_of_cells = {name: [_cell(row[name]) for row in value] for name in names}
        for name, cells in columns_of_cells.items():
            # What is short is to be read, and copied, whole; what is long is folded.
            short = max(map(len, cells), default=0) <= LONGEST_WHOLE
            table.add_column(name.replace("_", " "), overflow="fold", no_wrap=short)
        for row_cells in zip(*columns_of_cells.values(), strict=True):
            table.add_row(*map(escape, row_cells))
        self._out.print(table)

    def _print_json(self, value: Any) -> None:
        sys.stdout.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")
        sys.stdout.flush()

    @contextmanager
    def progress(self) -> Iterator[ReportProgress]:
        """A bar on a terminal, a line now and then in a log, nothing with ``--quiet``."""
        if self._quiet:
            yield no_progress
        elif not self._err.is_terminal:
            lines = _Lines(self._err)
            yield lines
            lines.print_latest()
        else:
            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[figures]}"))
            with Bar(*columns, TimeRemainingColumn(), console=self._err, transient=True) as bar:
                yield _Bars(bar)


class _Bars:
    """One bar per activity; the finished ones are taken away."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._activity = ""
        self._task = bar.add_task("", visible=False, figures="")

    def __call__(self, progress: Progress) -> None:
        if progress.activity != self._activity:
            self._activity = progress.activity
            self._bar.remove_task(self._task)
            self._task = self._bar.add_task(escape(progress.activity), total=progress.total, figures="")
        self._bar.update(self._task, completed=progress.done, total=progress.total, figures=_figures(progress))


class _Lines:
    """A plain line when an activity has ended, and every `LINE_SECONDS` before."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._latest: Progress | None = None
        self._printed = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        if self._latest is not None and progress.activity != self._latest.activity:
            self.print_latest()
        self._latest = progress
        if time.monotonic() - self._printed >= LINE_SECONDS:
            self.print_latest()

    def print_latest(self) -> None:
        """Print what was reported last, once."""
        if self._latest is not None:
            latest, self._latest, self._printed = self._latest, None, time.monotonic()
            of = "" if latest.total is None else f"/{latest.total:,.0f}"
            line = f"{latest.activity}: {latest.done:,.0f}{of} {latest.unit}  {_figures(latest)}"
            self._console.print(escape(line.rstrip()))


class _Log(logging.Handler):
    """The library's log as lines like those of the command itself."""

    def __init__(self, console: Console, level: int) -> None:
        super().__init__(level)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        colour = "bold yellow" if record.levelno >= logging.WARNING else "dim"
        self._console.print(f"[{colour}]{record.levelname.lower()}:[/] {escape(record.getMessage())}")


def _figures(progress: Progress) -> str:
    return "  ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in progress.figures.items())


def _cell(value: Any) -> str:
    """Text for a table; times to the second."""
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    text = str(value)
    return text[:19].replace("T", " ") if _TIME.match(text) else text
