"""The rows of one shard: read, decode, preprocess, classify."""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.errors import IntegrityError
from mnist_pipeline.files import sha256_bytes
from mnist_pipeline.imaging.decoding import decode
from mnist_pipeline.imaging.errors import ImageError
from mnist_pipeline.imaging.normalising import Prepared, has_sprite_form, normalise, resize_only
from mnist_pipeline.imaging.plain_png import Canvas
from mnist_pipeline.literals import PreprocessMode
from mnist_pipeline.mnist_form import SIDE
from mnist_pipeline.rejection.answers import ERROR, NO_DIGIT, OK, REASON_NAMES
from mnist_pipeline.rejection.novelty import AT_ONCE, Novelty, read_novelty
from mnist_pipeline.scoring.records import ROW, ScoringSettings
from mnist_pipeline.scoring.results import Part
from mnist_pipeline.scoring.sources.reading import Reader, Signature

logger = logging.getLogger(__name__)

NO_DIGEST = bytes(32)


class Model(Protocol):
    """What classifies."""

    provider: str

    def probabilities(self, images: NDArray[np.uint8], batch_size: int = ...) -> NDArray[np.float32]:
        """float32 [N, 10] for uint8 [N, 28, 28]."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """What the images of a shard are scored with.

    Attributes:
        reader: where they come from.
        mode: how they are preprocessed.
        max_pixels: of the largest image that is decoded.
        report: is told each row before anything is done with it.
        novelty: says how strange an image is; none: nobody asks.
    """

    reader: Reader
    mode: PreprocessMode
    max_pixels: int
    report: Callable[[int], None] = lambda _: None
    novelty: Novelty | None = None


@dataclass(frozen=True, slots=True)
class Inputs:
    """The images of a shard, ready for the model.

    Attributes:
        rows: `ROW` [n], complete but for the probabilities.
        images: uint8 [n, 28, 28], zero where there is none; a part of the canvas.
        asked: bool [n]: the model is to be asked.
        untouched: bool [n]: the image came in the sprite's form.
        errors: row -> (kind, message).
    """

    rows: NDArray[np.void]
    images: NDArray[np.uint8]
    asked: NDArray[np.bool_]
    untouched: NDArray[np.bool_]
    errors: dict[int, tuple[str, str]]


def score_names(
    names: Sequence[bytes], job: Job, canvas: Canvas, model: Model, quarantined: Mapping[int, tuple[str, str]]
) -> Part:
    """The rows of ``names``, in their order.

    Args:
        names: what to read.
        job: how.
        canvas: room for at least as many images.
        model: what to ask.
        quarantined: rows that must not be touched, because workers hung or died at them: row -> (kind, message).
    """
    inputs = prepare(names, job, canvas, quarantined)
    chosen = np.flatnonzero(inputs.asked)
    if chosen.size:
        images = inputs.images if chosen.size == len(names) else inputs.images[chosen]
        inputs.rows["probabilities"][chosen] = model.probabilities(images, batch_size=len(chosen))
        if job.novelty is not None:
            _ask_about_novelty(inputs, chosen, job.novelty)
    return Part(tuple(names), inputs.rows, inputs.errors, model.provider if chosen.size else "")


def _ask_about_novelty(inputs: Inputs, chosen: NDArray[np.int64], novelty: Novelty) -> None:
    """How strange the chosen images are, but for those that came in the sprite's form and got a sure answer.

    That depends on an image alone, not on how its file was read.
    """
    sure = inputs.rows["probabilities"][chosen].max(axis=1) >= novelty.sure
    doubtful = chosen[~(inputs.untouched[chosen] & sure)]
    if doubtful.size:
        inputs.rows["strangeness"][doubtful] = novelty.strangeness(inputs.images[doubtful])


def load_novelty(settings: ScoringSettings) -> Novelty | None:
    """The rule that the settings name.

    Raises:
        IntegrityError: the file is missing, or another one.
    """
    if settings.evaluation is None:
        return None
    try:
        data = settings.evaluation.read_bytes()
    except OSError as error:
        raise IntegrityError(f"{settings.evaluation} cannot be read: {error.strerror}") from None
    if (found := sha256_bytes(data)) != settings.evaluation_sha256:
        raise IntegrityError(f"{settings.evaluation} has SHA-256 {found}, expected {settings.evaluation_sha256}")
    return read_novelty(json.loads(data)["rejection"])


def prepare(names: Sequence[bytes], job: Job, canvas: Canvas, quarantined: Mapping[int, tuple[str, str]]) -> Inputs:
    """Read, decode and preprocess; arguments as `score_names`."""
    count = len(names)
    canvas.pixels[:count] = 0
    inputs = Inputs(
        np.zeros(count, ROW), canvas.pixels[:count], np.zeros(count, bool), np.zeros(count, bool), dict(quarantined)
    )
    inputs.rows["strangeness"] = -np.inf
    seen = [(Signature(0, 0), NO_DIGEST)] * count
    as_they_are: list[int] = []
    job.reader.expect(name for row, name in enumerate(names) if row not in quarantined)
    for row, name in enumerate(names):
        if row in quarantined:
            continue
        job.report(row)
        try:
            data, signature = job.reader.read(name)
            seen[row] = signature, hashlib.sha256(data).digest()
            if _decode(row, data, job, canvas, inputs):
                as_they_are.append(row)
        except ImageError as error:
            inputs.errors[row] = (error.kind, error.message)
            seen[row] = Signature(*(error.signature or seen[row][0])), seen[row][1]
        except MemoryError:
            inputs.errors[row] = ("too large", "needs more memory than a worker may use")
        except Exception as error:  # one image must not cost the others theirs
            logger.exception("row %d", row)
            inputs.errors[row] = ("failed", f"preprocessing failed: {type(error).__name__}")
    _settle(inputs, as_they_are, job.mode)
    inputs.rows["size"] = [signature.size for signature, _ in seen]
    inputs.rows["modified_ns"] = [signature.modified_ns for signature, _ in seen]
    inputs.rows["sha256"] = np.frombuffer(b"".join(digest for _, digest in seen), "V32")
    inputs.rows["status"][list(inputs.errors)] = ERROR
    return inputs


def _decode(row: int, data: bytes, job: Job, canvas: Canvas, inputs: Inputs) -> bool:
    """Bring an image onto its row; True where it has the sprite's size and is still to be looked at."""
    keeps_size = job.mode in {"auto", "none"}
    if keeps_size and canvas.decode(row, data):
        return True
    plane = decode(data, job.max_pixels)
    if keeps_size and plane.shape == (SIDE, SIDE) and plane.dtype == np.uint8:
        inputs.images[row] = plane
        return True
    if job.mode == "none":
        height, width = plane.shape
        raise ImageError("wrong size", f"{width} x {height} pixels or not 8 bit; preprocessing is switched off")
    _store(inputs, row, Prepared(resize_only(plane), "") if job.mode == "resize" else normalise(plane))
    return False


def _settle(inputs: Inputs, candidates: list[int], mode: PreprocessMode) -> None:
    """Images of the sprite's size: those in its form go through untouched, the others are normalised."""
    if not candidates:
        return
    rows = np.array(candidates)
    images = inputs.images if len(rows) == len(inputs.images) else inputs.images[rows]
    untouched = np.ones(len(rows), bool)
    if mode == "auto":
        for start in range(0, len(rows), AT_ONCE):
            untouched[start : start + AT_ONCE] = has_sprite_form(images[start : start + AT_ONCE])
    inputs.asked[rows[untouched]] = inputs.untouched[rows[untouched]] = True
    for row in rows[~untouched].tolist():
        _store(inputs, row, normalise(inputs.images[row].copy()))


def _store(inputs: Inputs, row: int, prepared: Prepared) -> None:
    inputs.images[row] = prepared.image
    inputs.asked[row] = prepared.reason == ""
    inputs.rows["status"][row] = NO_DIGIT if prepared.reason else OK
    inputs.rows["reason"][row] = REASON_NAMES.index(prepared.reason)
