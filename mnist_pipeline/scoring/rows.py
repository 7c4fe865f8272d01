"""The rows of one shard: read, decode, preprocess, classify."""

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.config import PreprocessMode
from mnist_pipeline.scoring.images import Plane, decode
from mnist_pipeline.scoring.parts import Part
from mnist_pipeline.scoring.preprocess import SIDE, Prepared, has_sprite_form, normalise, resize_only
from mnist_pipeline.scoring.reading import ImageError, Reader, Signature
from mnist_pipeline.scoring.records import ERROR, NO_DIGIT, OK, REASON_NAMES, ROW

logger = logging.getLogger(__name__)

Report = Callable[[int], None]


class Model(Protocol):
    """What classifies."""

    provider: str

    def probabilities(self, images: NDArray[np.uint8], batch_size: int = ...) -> NDArray[np.float32]:
        """float32 [N, 10] for uint8 [N, 28, 28]."""
        ...


@dataclass(frozen=True, slots=True)
class Inputs:
    """The images of a shard, ready for the model.

    Attributes:
        rows: `ROW` [n], complete but for the probabilities.
        images: uint8 [n, 28, 28]; zeros where there is none.
        asked: bool [n]: the model is to be asked.
        errors: row -> (kind, message).
    """

    rows: NDArray[np.void]
    images: NDArray[np.uint8]
    asked: NDArray[np.bool_]
    errors: dict[int, tuple[str, str]]


def score_names(
    names: Sequence[bytes],
    reader: Reader,
    model: Model,
    mode: PreprocessMode,
    max_pixels: int,
    condemned: Mapping[int, tuple[str, str]],
    report: Report,
) -> Part:
    """The rows of ``names``, in their order.

    Args:
        names: what to read.
        reader: where from.
        model: what to ask.
        mode: how to preprocess.
        max_pixels: of the largest image that is decoded.
        condemned: rows that must not be touched, because they brought workers down: row -> (kind, message).
        report: is told the row before anything is done with it.
    """
    inputs = prepare(names, reader, mode, max_pixels, condemned, report)
    chosen = np.flatnonzero(inputs.asked)
    if chosen.size:
        probabilities = model.probabilities(inputs.images[chosen], batch_size=len(chosen))
        inputs.rows["probabilities"][chosen] = probabilities
    return Part(tuple(names), inputs.rows, inputs.errors, model.provider if chosen.size else "")


def prepare(
    names: Sequence[bytes],
    reader: Reader,
    mode: PreprocessMode,
    max_pixels: int,
    condemned: Mapping[int, tuple[str, str]],
    report: Report,
) -> Inputs:
    """Read, decode and preprocess; arguments as `score_names`."""
    count = len(names)
    inputs = Inputs(
        np.zeros(count, ROW), np.zeros((count, SIDE, SIDE), np.uint8), np.zeros(count, bool), dict(condemned)
    )
    in_form: list[int] = []
    for row, name in enumerate(names):
        if row in condemned:
            continue
        report(row)
        try:
            plane = _read_plane(inputs.rows[row], reader, name, max_pixels)
            if mode in {"auto", "none"} and plane.shape == (SIDE, SIDE) and plane.dtype == np.uint8:
                inputs.images[row] = plane
                in_form.append(row)
            else:
                _store(inputs, row, _preprocess(plane, mode))
        except ImageError as error:
            inputs.errors[row] = (error.kind, error.message)
        except MemoryError:
            inputs.errors[row] = ("too large", "needs more memory than a worker may use")
        except Exception as error:  # one image must not cost the others theirs
            logger.exception("row %d", row)
            inputs.errors[row] = ("failed", f"preprocessing failed: {type(error).__name__}")
    _settle(inputs, in_form, mode)
    inputs.rows["status"][list(inputs.errors)] = ERROR
    return inputs


def _read_plane(row: NDArray[np.void], reader: Reader, name: bytes, max_pixels: int) -> Plane:
    try:
        data, signature = reader.read(name)
    except ImageError as error:
        if error.signature is not None:
            _sign(row, error.signature)
        raise
    _sign(row, signature)
    row["sha256"] = np.void(hashlib.sha256(data).digest())
    return decode(data, max_pixels)


def _sign(row: NDArray[np.void], signature: Signature) -> None:
    row["size"], row["modified_ns"] = signature.size, signature.modified_ns


def _preprocess(plane: Plane, mode: PreprocessMode) -> Prepared:
    if mode == "resize":
        return Prepared(resize_only(plane), "")
    if mode == "none":
        height, width = plane.shape
        raise ImageError("wrong size", f"{width} x {height} pixels or not 8 bit; preprocessing is switched off")
    return normalise(plane)


def _settle(inputs: Inputs, candidates: list[int], mode: PreprocessMode) -> None:
    """Images of the sprite's size: those in its form go through untouched, the others are normalised."""
    if not candidates:
        return
    rows = np.array(candidates)
    untouched = has_sprite_form(inputs.images[rows]) if mode == "auto" else np.ones(len(rows), bool)
    inputs.asked[rows[untouched]] = True
    for row in rows[~untouched].tolist():
        # The plane is light on dark where it is ink on paper: `normalise` finds the polarity itself.
        _store(inputs, row, normalise(inputs.images[row].copy()))


def _store(inputs: Inputs, row: int, prepared: Prepared) -> None:
    inputs.images[row] = prepared.image
    inputs.asked[row] = prepared.reason == ""
    inputs.rows["status"][row] = NO_DIGIT if prepared.reason else OK
    inputs.rows["reason"][row] = REASON_NAMES.index(prepared.reason)
