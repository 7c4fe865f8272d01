"""What a command says, and where: results on stdout, everything else on stderr."""

import json
import logging
import shutil
import sys
import time
import traceback
import webbrowser
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from mnist_pipeline.cli.failures import FAILED
from mnist_pipeline.cli.process import interrupt_if_told
from mnist_pipeline.cli.tables import Table, escaped, one_line, render
from mnist_pipeline.progress import Progress, ReportProgress, no_progress

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar

PACKAGE = "mnist_pipeline"
LINE_SECONDS = 10.0


@dataclass(eq=False)
class Terminal:
    """The two streams of a command, as its ``--json``, ``--quiet`` and ``--verbose`` want them."""

    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object on stdout; progress and logs go to stderr.")
    ] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress; errors only.")] = False
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show the library's log, and where an error came from.")
    ] = False

    def __post_init__(self) -> None:
        self.configure()

    @cached_property
    def _err(self) -> "Console":
        from rich.console import Console  # a tenth of the start of a command, which may have nothing to say here

        return Console(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False)

    def configure(self, **wanted: bool) -> None:
        """As the command's options want it, once they are read."""
        for name, value in wanted.items():
            setattr(self, name, value)
        level = logging.ERROR if self.quiet else logging.DEBUG if self.verbose else logging.WARNING
        package = logging.getLogger(PACKAGE)
        package.setLevel(min(level, logging.INFO))  # Prefect's API handler takes INFO whatever is shown here
        _replace_handler(package, _Log(self, level))
        # What other libraries tell the log helps whoever looks for a fault, and is noise to everybody else.
        others = _Log(self, logging.WARNING if self.verbose else logging.ERROR)
        others.addFilter(lambda record: not record.name.startswith(PACKAGE))
        _replace_handler(logging.getLogger(), others)

    def say(self, line: str) -> None:
        """A line of news for people."""
        if not self.quiet:
            self._err.print(escaped(line))

    def warn(self, line: str) -> None:
        """A line that must be seen, even with ``--quiet``."""
        self.note("warning", "bold yellow", line)

    def fail(self, error: str, value: Mapping[str, Any] | None = None) -> None:
        """Why the command ends; with ``--json`` an object on stdout as well, with what else it found."""
        error = one_line(error)
        self.note("error", "bold red", error)
        if self.as_json:
            self._write_json({"status": "failed", "error": error, **(value or {})})

    def trace(self, error: BaseException) -> None:
        """With ``--verbose``, where an error came from."""
        if self.verbose:
            self._err.print("".join(traceback.format_exception(error)).rstrip())

    def note(self, kind: str, style: str, line: str) -> None:
        """A line that says first what kind of line it is."""
        from rich.text import Text

        self._err.print(Text.assemble((f"{kind}:", style), " ", escaped(line)))

    def result(self, value: Mapping[str, Any], *lines: str, table: Table | None = None) -> None:
        """The command's result: one JSON object with ``--json``, else a table and the lines for people below it."""
        if self.as_json:
            self._write_json(value)
        else:
            width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
            self._write([*(render(table, width) if table else ()), *map(escaped, lines)])

    def failed_table(self, error: str, value: Mapping[str, Any], table: Table) -> NoReturn:
        """End the command: why, and the records that tell more."""
        if not self.as_json:
            self.result(value, table=table)
        self.fail(error, value)
        raise typer.Exit(FAILED)

    def browse(self, url: str, shown: str | None = None) -> None:
        """Open a page in the browser, or tell to open what is shown for it."""
        if not webbrowser.open(url):
            self.warn(f"no browser could be started; open {shown or url} yourself")

    def _write_json(self, value: Mapping[str, Any]) -> None:
        # ASCII, so that it is JSON in every encoding, and keeps file names that are not UTF-8.
        self._write([json.dumps(value, allow_nan=False)])

    def _write(self, lines: Iterable[str]) -> None:
        sys.stdout.writelines(f"{line}\n" for line in lines)
        sys.stdout.flush()

    @contextmanager
    def progress(self) -> Iterator[ReportProgress]:
        """A bar on a terminal, a line now and then in a log, nothing with ``--quiet``.

        Who reports progress is at work, and is interrupted if somebody has told the command to end.
        """
        with self._shown_progress() as show:

            def report(progress: Progress) -> None:
                interrupt_if_told()
                show(progress)

            yield report

    @contextmanager
    def _shown_progress(self) -> Iterator[ReportProgress]:
        if self.quiet:
            yield no_progress
        elif not self._err.is_terminal:
            lines = _Lines(self)
            yield lines
            lines.print_latest()
        else:
            from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            names = TextColumn("{task.description}", markup=False), BarColumn()
            metrics = TextColumn("{task.fields[metrics]}", markup=False), TimeRemainingColumn()
            with Bar(*names, *metrics, console=self._err, transient=True) as bar:
                yield _Bars(bar)


class _Bars:
    """One bar per activity; the finished ones are taken away."""

    def __init__(self, bar: "Bar") -> None:
        self._bar = bar
        self._activity = ""
        self._task = bar.add_task("", visible=False, metrics="")

    def __call__(self, progress: Progress) -> None:
        if progress.activity != self._activity:
            self._activity = progress.activity
            self._bar.remove_task(self._task)
            self._task = self._bar.add_task(escaped(progress.activity), total=progress.total, metrics="")
        self._bar.update(self._task, completed=progress.done, total=progress.total, metrics=_metrics(progress))


class _Lines:
    """A plain line when an activity has ended, and every `LINE_SECONDS` before."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
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
            line = f"{latest.activity}: {latest.done:,.0f}{of} {latest.unit}  {_metrics(latest)}"
            self._terminal.say(line.rstrip())


class _Log(logging.Handler):
    """The library's log as lines like those of the command itself."""

    def __init__(self, terminal: Terminal, level: int) -> None:
        super().__init__(level)
        self._terminal = terminal

    def emit(self, record: logging.LogRecord) -> None:
        style = "bold yellow" if record.levelno >= logging.WARNING else "dim"
        for line in record.getMessage().splitlines():
            self._terminal.note(record.levelname.lower(), style, line)


def _replace_handler(logger: logging.Logger, handler: _Log) -> None:
    for earlier in [earlier for earlier in logger.handlers if isinstance(earlier, _Log)]:
        logger.removeHandler(earlier)
    logger.addHandler(handler)


def _metrics(progress: Progress) -> str:
    return "  ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in progress.metrics.items())
