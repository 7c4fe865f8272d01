"""What a scoring job writes, and where."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mnist_pipeline.files import sibling
from mnist_pipeline.scoring.records import Shard

GENERATOR = "mnist-pipeline score"
"""What a report, or a review sheet, says made it."""
HEAD_BYTES = 1_024
"""Of a page, within which it says so."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """Every path that a job writes, absolute."""

    output: Path
    report: Path | None = None
    review: Path | None = None

    @classmethod
    def of(cls, output: Path, report: Path | None = None) -> "Outputs":
        """Of the paths as a user names them."""
        return cls(output.absolute(), None if report is None else report.absolute())

    @property
    def manifest(self) -> Path:
        return sibling(self.output, "", ".manifest.json")

    @property
    def work(self) -> Path:
        """The unfinished job; hidden, so that no listing takes it for images."""
        return sibling(self.output, ".", ".scoring")

    @property
    def listing(self) -> Path:
        return self.work / "listing"

    @property
    def shards(self) -> Path:
        return self.work / "shards"

    @property
    def results(self) -> Path:
        """Folder of the rows of each shard."""
        return self.work / "results"

    def results_of(self, shard: Shard) -> Path:
        """The file that holds the rows of a shard once it is scored."""
        return self.results / f"{shard.key[:40]}.rows"

    @property
    def named(self) -> list[Path]:
        """What the user named."""
        return [path for path in (self.output, self.report, self.review) if path is not None]

    @property
    def visible(self) -> list[Path]:
        """What is there in the end, and never counts as an image."""
        return [self.manifest, *self.named]


def is_report(path: Path, *, of: str = "") -> bool:
    """Whether the file is a report of ours; and of the output with this SHA-256, where one is given."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return False
    return f'content="{GENERATOR}"'.encode() in head and of.encode() in head


def tidy(outputs: Outputs, kept: Iterable[str] | None = None) -> None:
    """Remove what a finished job leaves, but for the named rows of shards."""
    if kept is None:
        shutil.rmtree(outputs.work, ignore_errors=True)
        return
    names = set(kept)
    outputs.listing.unlink(missing_ok=True)
    outputs.shards.unlink(missing_ok=True)
    for path in outputs.results.iterdir():
        if path.name not in names:
            path.unlink(missing_ok=True)
