"""The lines of an addition."""

from typing import Literal

from pydantic import AwareDatetime

from mnist_pipeline.schema import Record

Side = Literal["train", "own-test"]


class Answer(Record):
    """What one person said of one image."""

    digest: str
    """Hex SHA-256 of the file."""
    label: str
    """``0`` to ``9``, or `NO_DIGIT`."""
    by: str
    when: AwareDatetime
    source: str
    """Where the image came from, for people."""
    side: Side
    outline: str
    """Hex of `likeness.outline`."""
    settles: bool = False
    """Decides a conflict: answers before it count no more."""
    withdrawn: bool = False
    """Takes back what this person had said of the image, which was ``label``."""
