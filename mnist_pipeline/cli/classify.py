"""One image, one answer on the terminal."""

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mnist_pipeline import MAX_BYTES, MAX_PIXELS, PreprocessMode
from mnist_pipeline.cli import options
from mnist_pipeline.cli.options import RegistryOptions
from mnist_pipeline.cli.process import no_collector, start_lean
from mnist_pipeline.cli.terminal import Terminal
from mnist_pipeline.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mnist_pipeline.scoring.items import Preprocessing
    from mnist_pipeline.scoring.single import Reply
    from mnist_pipeline.scoring.sources.reading import Reader

SHOWN = 3
"""Digits whose probabilities are shown."""
STDIN = "-"
WIDTH = 20
"""Characters of the longest bar."""
HALVES = " \u2580\u2584\u2588"
"""Nothing, the upper half, the lower half, both."""
EIGHTHS = " \u258f\u258e\u258d\u258c\u258b\u258a\u2589\u2588"
SHADES = " .:-=+*#%@"
INK = 96
"""From this strength on, half a character is filled."""


def classify(
    terminal: Terminal,
    *,
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Image files; - is standard input.")],
    model: options.Model = "champion",
    where: RegistryOptions,
    preprocess: options.Preprocess = "auto",
    min_confidence: options.MinConfidence = None,
    show_picture: Annotated[
        bool, typer.Option("--picture/--no-picture", help="Show what the model saw, in blocks of characters.")
    ] = True,
) -> None:
    """Say which digit an image shows, how sure the model is, or why it shows no digit. For folders there is score."""
    start_lean()
    # The configuration of `score` is not loaded: that would take a fifth of the time.
    if min_confidence is not None and not 0 <= min_confidence <= 1:
        raise UsageError(f"--min-confidence {min_confidence:g}: give a number from 0 to 1")
    with no_collector():
        from mnist_pipeline.inference import Classifier
        from mnist_pipeline.registry.lookup import find_scoring_model
        from mnist_pipeline.rejection.rule import choose_threshold
        from mnist_pipeline.scoring.single import classify_image

        chosen = find_scoring_model(model, **asdict(where))
        threshold = choose_threshold(min_confidence, chosen)
        loaded = Classifier.load(chosen.path, sha256=chosen.sha256, device="cpu", threads=1, spinning=False)
    replies = [classify_image(os.fsencode(file), _preprocessing(file, preprocess), loaded, threshold) for file in files]
    told = [{**reply.row, "novelty": reply.novelty} for reply in replies]
    blocks = [_block(reply, show_picture=show_picture) for reply in replies if not reply.row["error"]]
    lines = [line for block in blocks for line in ("", *block)]
    terminal.result({"model": chosen.version or str(chosen.path), "images": told}, *lines[1:])
    unread = [reply for reply in replies if reply.row["error"]]
    for reply in unread:
        terminal.note("error", "bold red", f"{reply.row['path']}: {reply.row['error']}")
    if unread:
        raise typer.Exit(1)


def _preprocessing(file: str, preprocess: PreprocessMode) -> "Preprocessing":
    from mnist_pipeline.scoring.items import Preprocessing
    from mnist_pipeline.scoring.sources.reading import BytesReader, FileReader

    reader: Reader
    if file == STDIN:
        reader = BytesReader(sys.stdin.buffer.read(MAX_BYTES + 1), MAX_BYTES)
    else:
        reader = FileReader(str(Path.cwd()), MAX_BYTES, follow_links=True)
    return Preprocessing(reader, preprocess, MAX_PIXELS)


def _block(reply: "Reply", *, show_picture: bool) -> list[str]:
    from mnist_pipeline.rejection.answers import REASON_SENTENCES
    from mnist_pipeline.runs.wording import plain_percent

    row = reply.row
    name = "standard input" if row["path"] == STDIN else row["path"]
    if row["status"] == "ok":
        lines = [f"{name}: {row['digit']}  {plain_percent(row['confidence'])}"]
    else:
        lines = [f"{name}: no digit ({row['reason']}): {REASON_SENTENCES[row['reason']]}"]
    if row["digit"] is not None:
        each = sorted(((row[f"p{digit}"], digit) for digit in range(10)), key=lambda pair: -pair[0])
        lines += [f"  {digit}  {_bar(share)}  {plain_percent(share):>8}" for share, digit in each[:SHOWN]]
    if show_picture and reply.seen is not None and reply.seen.any():
        lines += ["", *(f"  {line}" for line in picture(reply.seen))]
    return lines


def _has_blocks() -> bool:
    """Whether standard output can take block elements."""
    try:
        (HALVES + EIGHTHS).encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _bar(share: float) -> str:
    """A bar of `WIDTH` characters, filled as far as the share in [0, 1] says."""
    if not _has_blocks():
        return ("#" * round(share * WIDTH)).ljust(WIDTH)
    whole, rest = divmod(round(share * WIDTH * 8), 8)
    return (EIGHTHS[8] * whole + (EIGHTHS[rest] if rest else "")).ljust(WIDTH)


def picture(image: "NDArray[np.uint8]") -> list[str]:
    """An image [28, 28] (255 = ink) in 14 lines of 28 characters: two pixels, one above the other, are a character."""
    upper, lower = image[::2], image[1::2]
    if _has_blocks():
        kinds = (upper >= INK) + 2 * (lower >= INK)
        return ["".join(HALVES[kind] for kind in line).rstrip() for line in kinds.tolist()]
    strength = (upper.astype(int) + lower) * len(SHADES) // 511
    return ["".join(SHADES[shade] for shade in line).rstrip() for line in strength.tolist()]
