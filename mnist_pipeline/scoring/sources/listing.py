"""Which images there are, sorted by path, in bounded memory.

Names are bytes, as the file system has them: relative to the folder, with ``/`` between the parts, sorted
bytewise. A folder of a million files is sorted in runs on disk, and the runs are merged.
"""

import codecs
import heapq
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from mnist_pipeline.errors import PipelineError, UsageError
from mnist_pipeline.files.writing import identity
from mnist_pipeline.scoring.outputs import Outputs
from mnist_pipeline.scoring.writers import escape_path

if TYPE_CHECKING:
    from mnist_pipeline.scoring.job import ScoringJob

RUN_NAMES = 100_000
"""Names that are sorted in memory at once."""
REPORT_EVERY = 2_000
"""Names between two reports of how many there are."""
HIDDEN = ord(".")
END = b"\0"
"""After each name: the one byte that no path holds."""
BLOCK = 1 << 16
LONGEST_LINE = 1 << 20
"""Bytes; no path is nearly so long."""
# UTF-32 first: its mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (codecs.BOM_UTF8, ""),
)
"""What a list in Unicode may begin with, and its encoding where that is not UTF-8."""


@dataclass(slots=True)
class Skipped:
    """What a folder holds that is no image for sure, and what could not be looked into."""

    entries: Counter[str] = field(default_factory=Counter)
    unreadable: list[str] = field(default_factory=list)


def image_names(job: "ScoringJob", names: BinaryIO | None, skipped: Skipped) -> Iterator[bytes]:
    """The names of all images of a job, in no order; what the job itself writes is not among them.

    Args:
        job: whose.
        names: the list, where the source is one.
        skipped: gets what is passed over.

    Raises:
        UsageError: the source is no folder that can be read; or a list names what the job writes.
    """
    if job.source.kind == "folder":
        root = Path(job.source.root)
        inside = [Path(os.path.realpath(path)) for path in job.outputs.visible]
        own = frozenset(os.fsencode(path.relative_to(root).as_posix()) for path in inside if root in path.parents)
        return scan_folder(root, own, skipped)
    if job.source.kind == "prefix":
        from mnist_pipeline.scoring.sources.objects import list_keys

        return list_keys(job.source.root, skipped)
    if names is None:
        raise UsageError("a list of paths was announced and none was given")
    return _without_outputs(read_list(names), job.source.root, job.outputs)


def scan_folder(root: Path, exclude: frozenset[bytes], skipped: Skipped) -> Iterator[bytes]:
    """The names of all regular files below ``root``, in no order. Links are not followed; hidden names are skipped.

    Raises:
        UsageError: ``root`` is not a folder that can be read.
    """
    base = os.fsencode(root) + b"/"
    pending = [b""]
    while pending:
        relative = pending.pop()
        try:
            with os.scandir(base + relative) as entries:
                for entry in entries:
                    kind = _kind(entry)
                    if kind == "folder":
                        pending.append(relative + entry.name + b"/")
                    elif kind != "file":
                        skipped.entries[kind] += 1
                    elif (name := relative + entry.name) not in exclude:
                        yield name
        except OSError as error:
            if not relative:
                advice = f"; for one image there is: mnist-pipeline classify {root}" if root.is_file() else ""
                raise UsageError(f"{root} cannot be read as a folder: {error.strerror}{advice}") from None
            skipped.unreadable.append(f"{os.fsdecode(relative)}: {error.strerror}")


def _kind(entry: os.DirEntry[bytes]) -> str:
    """What an entry is, without following it and without opening it."""
    if entry.name[0] == HIDDEN:
        return "hidden"
    try:
        if entry.is_file(follow_symlinks=False):
            return "file"
        if entry.is_symlink():
            return "symbolic link"
        if entry.is_dir(follow_symlinks=False):
            return "folder"
        mode = entry.stat(follow_symlinks=False).st_mode
    except OSError:
        return "file"  # whoever reads it says what is wrong with this one
    return "pipe" if stat.S_ISFIFO(mode) else "socket" if stat.S_ISSOCK(mode) else "device"


def read_list(file: BinaryIO) -> Iterator[bytes]:
    """The paths of a list: one a line, or NUL-terminated (as ``find -print0`` writes) where it begins so.

    A list that begins with a byte order mark is in UTF-8, UTF-16 or UTF-32; else its bytes are those of the paths.

    Raises:
        UsageError: a line is far too long for a path.
    """
    blocks = _blocks(file)
    first = next(blocks, b"")
    end = END if END in first else b"\n"
    strip = b"" if end == END else b"\r"
    rest = b""
    for block in chain([first], blocks):
        *names, rest = (rest + (block if end == END else block.replace(END, end))).split(end)
        yield from filter(None, (name.removesuffix(strip) for name in names))
        if len(rest) > LONGEST_LINE:
            raise UsageError(
                f"--files-from: a line of more than {LONGEST_LINE:,} bytes is no path; "
                "the list has a path a line, or every path ends with a NUL"
            )
    if rest := rest.removesuffix(strip):
        yield rest


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    """The list's bytes without a byte order mark, in UTF-8 where there was one."""
    first = file.read(BLOCK)
    mark, encoding = next(((mark, name) for mark, name in _MARKS if first.startswith(mark)), (b"", ""))
    blocks = chain([first[len(mark) :]], iter(lambda: file.read(BLOCK), b""))
    if not encoding:
        return blocks
    return (text.encode() for text in codecs.iterdecode(blocks, encoding, errors="replace"))


def _without_outputs(names: Iterator[bytes], root: str, outputs: Outputs) -> Iterator[bytes]:
    """The names of a list, which must lead to nothing that the job writes.

    Raises:
        UsageError: one does; before any image is read.
    """
    written = {os.fsencode(path): path for path in outputs.visible}
    last = {path.rpartition(b"/")[2] for path in written}
    there = {same: path for path in outputs.visible if (same := identity(path)) is not None}
    base = os.fsencode(root)
    for name in names:
        found = None
        if name.rpartition(b"/")[2] in last:
            found = written.get(os.path.normpath(os.path.join(base, name)))  # noqa: PTH118 - bytes
        if there and found is None:  # under another name, or through a link
            same = identity(os.path.join(base, name))  # noqa: PTH118 - bytes
            found = there.get(same) if same is not None else None
        if found is not None:
            raise UsageError(
                f"--files-from: {escape_path(name)} is in the list, and this job writes it ({found}); "
                "take it out, or write elsewhere"
            )
        yield name


@dataclass(frozen=True, slots=True)
class SortedNames:
    """All names, sorted, without duplicates; iterable once or more, until ``close``."""

    count: int
    """How many were found; duplicates included."""
    runs: tuple[Path, ...]
    last: tuple[bytes, ...]

    def __iter__(self) -> Iterator[bytes]:
        if not self.runs:
            yield from self.last
            return
        with ExitStack() as stack:
            streams: list[Iterable[bytes]] = [read_names(stack.enter_context(run.open("rb"))) for run in self.runs]
            previous = None
            for name in heapq.merge(*streams, self.last):
                if name != previous:
                    yield name
                previous = name

    def close(self) -> None:
        """Delete the runs on disk."""
        for run in self.runs:
            run.unlink(missing_ok=True)


def sort_names(names: Iterable[bytes], folder: Path, found: Callable[[int], None]) -> SortedNames:
    """Sort any number of names with at most `RUN_NAMES` of them in memory.

    Args:
        names: in any order.
        folder: where the runs are kept meanwhile.
        found: is told how many there are, now and then.

    Raises:
        PipelineError: the runs cannot be written.
    """
    runs: list[Path] = []
    batch: list[bytes] = []
    count = 0
    source = iter(names)
    while more := list(islice(source, REPORT_EVERY)):
        batch += more
        count += len(more)
        found(count)
        if len(batch) >= RUN_NAMES:
            runs.append(_write_run(folder / f"names-{len(runs):05d}", sorted(set(batch))))
            batch.clear()
    return SortedNames(count, tuple(runs), tuple(sorted(set(batch))))


def _write_run(path: Path, names: list[bytes]) -> Path:
    try:
        path.write_bytes(END.join(names) + END)
    except OSError as error:
        raise PipelineError(f"the sorted listing cannot be written to {path}: {error.strerror}") from None
    return path


def read_names(file: BinaryIO) -> Iterator[bytes]:
    """The names in a file, each followed by a NUL."""
    rest = b""
    while block := file.read(1 << 14):
        *names, rest = (rest + block).split(END)
        yield from names
