"""The files of a shard, read and decoded one after the other."""

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mnist_pipeline import SIDE, PreprocessMode
from mnist_pipeline.imaging.decoding import decode, first_look
from mnist_pipeline.imaging.errors import ImageError
from mnist_pipeline.imaging.planes import Plane
from mnist_pipeline.scoring.sources.reading import Reader, Signature

logger = logging.getLogger(__name__)

NO_DIGEST = bytes(32)
NO_SIGNATURE = Signature(0, 0)
READINGS = ("auto", "mnist")
"""Modes that read a picture, and may want to see more of it."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """Where images come from, and what is done before a model is asked.

    Attributes:
        reader: where they come from.
        mode: how they are preprocessed.
        max_pixels: of the largest image that is decoded.
        report: is told each row before anything is done with it.
    """

    reader: Reader
    mode: PreprocessMode
    max_pixels: int
    report: Callable[[int], None] = lambda _: None


class Item(NamedTuple):
    """A file that was read, and what became of it.

    Attributes:
        row: its place among the names.
        signature: of the file as it was read.
        digest: SHA-256 of its bytes.
        plane: uint8 [h, w], 0 = black, 255 = white; None where it could not be read or decoded.
        error: kind and message, where there is no plane.
        data: the file, where the plane is a first look and `decode` shows more; else b"".
    """

    row: int
    signature: Signature = NO_SIGNATURE
    digest: bytes = NO_DIGEST
    plane: Plane | None = None
    error: tuple[str, str] = ("", "")
    data: bytes = b""


def read_items(
    names: Sequence[bytes], preprocessing: Preprocessing, quarantined: Mapping[int, tuple[str, str]]
) -> Iterator[Item]:
    """Read and decode each of ``names`` in its order, arguments as `score_names`."""
    preprocessing.reader.expect(name for row, name in enumerate(names) if row not in quarantined)
    for row, name in enumerate(names):
        if row in quarantined:
            yield Item(row, error=quarantined[row])
        else:
            preprocessing.report(row)
            yield _read(row, name, preprocessing)


def _read(row: int, name: bytes, preprocessing: Preprocessing) -> Item:
    signature, digest = NO_SIGNATURE, NO_DIGEST
    try:
        data, signature = preprocessing.reader.read(name)
        digest = hashlib.sha256(data).digest()
        if preprocessing.mode in READINGS:
            plane, has_more = first_look(data, preprocessing.max_pixels)
            return Item(row, signature, digest, plane, data=data if has_more else b"")
        plane = decode(data, preprocessing.max_pixels)
        if preprocessing.mode == "none":
            _require_form(plane)
        return Item(row, signature, digest, plane)
    except ImageError as error:
        return Item(row, Signature(*(error.signature or signature)), digest, None, (error.kind, error.message))
    except MemoryError:
        return Item(row, signature, digest, None, ("too large", "needs more memory than a worker may use"))
    except Exception as error:  # one image must not cost the others theirs
        logger.exception("row %d", row)
        return Item(row, signature, digest, None, ("failed", f"decoding failed: {type(error).__name__}"))


def _require_form(plane: Plane) -> None:
    if plane.shape != (SIDE, SIDE):
        height, width = plane.shape
        raise ImageError("wrong size", f"{width} x {height} pixels; preprocessing is switched off")
