"""Own labelled images: add them, list them, settle what is said of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mnist_pipeline.cli import options
from mnist_pipeline.cli.tables import Table
from mnist_pipeline.cli.terminal import Terminal
from mnist_pipeline.errors import UsageError
from mnist_pipeline.runs.wording import moment, quantity
from mnist_pipeline.workspace import Workspace

if TYPE_CHECKING:
    from mnist_pipeline.labels.catalogue import Summary
    from mnist_pipeline.labels.store import LabelStore


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelOptions:
    """Where the own labelled images are."""

    labels: options.Labels = None
    workspace: options.Workspace = options.WORKSPACE

    def open(self) -> "LabelStore":
        """As `labels.store.open_labels`."""
        from mnist_pipeline.labels.store import open_labels

        return open_labels(self.labels or Workspace(self.workspace).labels)


def add(
    terminal: Terminal,
    source: Annotated[Path, typer.Argument(help="Folder with a folder per class, or a table path,label.")],
    by: Annotated[str, typer.Option("--by", help="Who labelled them.")],
    where: LabelOptions,
) -> None:
    """Keep labelled images (0 to 9, or none for no digit); each is for training or for the own test, for ever."""
    from mnist_pipeline.files.writing import writing
    from mnist_pipeline.labels.sources import find_images

    with writing(where.workspace):
        store = where.open()
        found = store.add(find_images(source), by=by)
        summary = store.catalogue().summarise()
    terminal.result(
        found.model_dump(mode="json") | summary.model_dump(mode="json"),
        f"images     {found.added:,} new, {found.answered:,} with one more answer, {found.known:,} known",
        *(f"left out   {problem}" for problem in found.problems),
        f"now        {_counts(summary)}",
    )


def list_(terminal: Terminal, where: LabelOptions) -> None:
    """How many images there are, by class, side and person."""
    summary = where.open().catalogue().summarise()
    names = sorted({name for counts in summary.classes.values() for name in counts})
    rows = [(name, *(f"{summary.classes[side].get(name, 0):,}" for side in ("train", "own-test"))) for name in names]
    terminal.result(
        summary.model_dump(mode="json"),
        _counts(summary),
        *(f"{person}: {quantity(count, 'answer')}" for person, count in summary.people.items()),
        table=Table(["label", "train", "own-test"], rows, needed=3),
    )


def conflicts(
    terminal: Terminal,
    *,
    settle: Annotated[str | None, typer.Option("--settle", help="Digest of an image, or the beginning of it.")] = None,
    label: Annotated[str | None, typer.Option("--label", help="What it is: 0 to 9, or none; with --settle.")] = None,
    by: Annotated[str | None, typer.Option("--by", help="Who decides; with --settle.")] = None,
    where: LabelOptions,
) -> None:
    """Images of which people say different things; they are left out until one answer is settled on."""
    from mnist_pipeline.files.writing import writing
    from mnist_pipeline.labels.sources import parse_label

    store = where.open()
    if settle is not None:
        chosen = parse_label(label or "")
        if chosen is None or not (by or "").strip():
            raise UsageError("--settle needs --label (0 to 9, or none) and --by NAME")
        with writing(where.workspace):
            store.settle(settle, chosen, by=by or "")
    found = store.catalogue().conflicts
    if not found:
        terminal.say("no conflicts")
    rows = [
        (image.digest[:12], answer.label, answer.by, moment(answer.when), answer.source)
        for image in found
        for answer in image.standing
    ]
    terminal.result(
        {"conflicts": [image.model_dump(mode="json") for image in found]},
        table=Table(["image", "label", "by", "when", "source"], rows, needed=3),
    )


def _counts(summary: "Summary") -> str:
    return f"{summary.train:,} for training, {summary.own_test:,} own-test, {quantity(summary.conflicts, 'conflict')}"
