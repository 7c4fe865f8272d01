"""Who may write a job's outputs, and what an interrupted one has left there."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from mnist_pipeline.config import ScoreConfig
from mnist_pipeline.errors import PipelineError, UsageError
from mnist_pipeline.files import leftovers, printable, read_json, sibling
from mnist_pipeline.files.destinations import Destination, Inputs, check_destinations, identity, require_folders
from mnist_pipeline.files.locks import HeldElsewhereError, ProcessLock
from mnist_pipeline.scoring.outputs import Outputs, is_report
from mnist_pipeline.scoring.records import Location
from mnist_pipeline.scoring.results import NO_ROOM
from mnist_pipeline.scoring.writers import check_format, escape_path

if TYPE_CHECKING:
    from mnist_pipeline.rejection.model import ScoringModel


def inputs_of(location: Location, model: "ScoringModel", names: BinaryIO | None = None) -> Inputs:
    """What a job reads. Images that a list names are looked at when it is read (`without_outputs`)."""
    known: dict[tuple[int, int], str] = {}
    for path, what in ((model.path, "the model"), (names, "the list")):
        if path is not None and (same := _identity(path)) is not None:
            known[same] = what
    folder = model.path.absolute().parent
    return Inputs(
        files=known,
        folders={Path(location.root): "one of the images in"} if location.kind == "folder" else {},
        # A published version has a manifest; beside it lie the other versions, aliases and history of the model.
        sealed=(folder.parent,) if (folder / "manifest.json").is_file() else (),
    )


def _identity(source: Path | BinaryIO) -> tuple[int, int] | None:
    if isinstance(source, Path):
        return identity(source)
    try:
        return identity(source.fileno())
    except OSError:  # it is in memory
        return None


def without_outputs(names: Iterator[bytes], root: str, outputs: Outputs) -> Iterator[bytes]:
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
            same = identity(os.path.join(base, name))  # noqa: PTH118
            found = there.get(same) if same is not None else None
        if found is not None:
            raise UsageError(
                f"--files-from: {escape_path(name)} is in the list, and this job writes it ({found}); "
                "take it out, or write elsewhere"
            )
        yield name


@contextmanager
def claim(outputs: Outputs, config: ScoreConfig, inputs: Inputs) -> Iterator[None]:
    """Before any work: the outputs can be written, destroy nothing, and are nobody else's until the block ends.

    Raises:
        UsageError: an output is an input, or exists and neither ``overwrite`` nor ``resume`` lets it be replaced.
        PipelineError: a folder cannot be written, another job writes there, or the disk is full.
    """
    check_format(outputs.output)
    _check(outputs, config, inputs)
    require_folders(outputs.named)
    with ExitStack() as held:
        for path in outputs.named:
            try:
                held.enter_context(_lock_of(path).hold())
            except HeldElsewhereError:
                raise PipelineError(f"another job is writing {path}; wait for it or choose another output") from None
        _check(outputs, config, inputs)  # again: another job may just have ended
        held.callback(_remove_if_empty, outputs)
        try:
            _prepare(outputs, config)
            yield
        except OSError as error:
            where = error.filename if isinstance(error.filename, str) else outputs.output.parent
            advice = "make room" if error.errno in NO_ROOM else "mend that"
            raise PipelineError(
                f"{where}: {error.strerror or error}; {advice}, and run the same with --resume: what is scored is kept"
            ) from error


def _check(outputs: Outputs, config: ScoreConfig, inputs: Inputs) -> None:
    destinations = [Destination("--output", outputs.output, lambda: _is_own(outputs))]
    used = [outputs.work, *(_lock_of(path).path for path in outputs.named)]
    if _is_manifest(outputs):  # it may be replaced: that of an output that is gone tells nothing any more
        used.append(outputs.manifest)
    else:
        destinations.append(Destination("the manifest of --output,", outputs.manifest))
    for option, page in (("--report", outputs.report), ("--review", outputs.review)):
        if page is not None:
            destinations.append(Destination(option, page, partial(is_report, page)))
    check_destinations(
        destinations,
        inputs,
        "anything" if config.overwrite else "own" if config.resume else "nothing",
        "--overwrite replaces it, --resume brings it up to date",
        used,
    )


def _is_own(outputs: Outputs) -> bool:
    """Whether a job wrote the output: its manifest says so, or the job ended before it could write that."""
    return outputs.work.is_dir() or _is_manifest(outputs)


def _is_manifest(outputs: Outputs) -> bool:
    try:
        found = read_json(outputs.manifest)
    except (OSError, ValueError, PipelineError):
        return False
    return isinstance(found, dict) and found.get("output") == printable(outputs.output.name)


def _lock_of(path: Path) -> ProcessLock:
    return ProcessLock(sibling(path, ".", ".lock"), temporary=True)


def _prepare(outputs: Outputs, config: ScoreConfig) -> None:
    """Remove what killed jobs have left, but for rows that this one may use."""
    for path in outputs.visible:
        for leftover in leftovers(path):
            leftover.unlink(missing_ok=True)
    if config.overwrite and not config.resume:
        shutil.rmtree(outputs.work, ignore_errors=True)
    outputs.results.mkdir(parents=True, exist_ok=True)
    for leftover in (*outputs.work.glob("names-*"), *outputs.work.glob("worker-*"), *outputs.results.glob(".*.tmp")):
        leftover.unlink(missing_ok=True)


def _remove_if_empty(outputs: Outputs) -> None:
    """A job that came to nothing leaves no trace; one with scored shards leaves them."""
    if outputs.results.is_dir() and not any(outputs.results.iterdir()):
        shutil.rmtree(outputs.work, ignore_errors=True)
