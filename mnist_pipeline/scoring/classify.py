"""The rows of one shard: read, decode, find readings, classify, choose."""

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline import SIDE, PreprocessMode
from mnist_pipeline.imaging.decoding import decode
from mnist_pipeline.imaging.errors import ImageError
from mnist_pipeline.imaging.form import has_sprite_form, resize_only
from mnist_pipeline.imaging.planes import Plane
from mnist_pipeline.inference import Answers, ModelMetadata
from mnist_pipeline.inference.sessions import CPU
from mnist_pipeline.rejection.answering import answer
from mnist_pipeline.rejection.answers import ERROR, NO_DIGIT, OK, REASON_NAMES
from mnist_pipeline.scoring.records import ROW
from mnist_pipeline.scoring.results import ShardResults
from mnist_pipeline.scoring.sources.reading import Reader, Signature

logger = logging.getLogger(__name__)

NO_DIGEST = bytes(32)
NO_SIGNATURE = Signature(0, 0)
AT_ONCE = 128
"""Images whose form is looked at together: their temporary arrays fit into the cache."""
BATCH = 32
"""Images that a CPU classifies at once: what their layers say of them fits into the cache."""
HELD_BYTES = 32_000_000
"""Planes that are held before they are answered."""


class Model(Protocol):
    """What classifies."""

    provider: str
    metadata: ModelMetadata

    def probabilities(self, images: NDArray[np.uint8], batch_size: int = ...) -> NDArray[np.float32]:
        """float32 [N, 10] for uint8 [N, 28, 28]."""
        ...

    def answers(self, images: NDArray[np.uint8], batch_size: int = ...) -> Answers:
        """Probabilities and novelty."""
        ...


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
        plane: uint8 [h, w], 0 = black, 255 = white; None where there is none.
        error: kind and message, where there is no plane.
    """

    row: int
    signature: Signature = NO_SIGNATURE
    digest: bytes = NO_DIGEST
    plane: Plane | None = None
    error: tuple[str, str] = ("", "")


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


def score_names(
    names: Sequence[bytes], preprocessing: Preprocessing, model: Model, quarantined: Mapping[int, tuple[str, str]]
) -> ShardResults:
    """The rows of ``names``, in their order.

    Args:
        names: what to read.
        preprocessing: how.
        model: what to ask.
        quarantined: rows that must not be touched, because they brought workers down: row -> (kind, message).
    """
    rows = Rows(len(names), preprocessing.mode, model)
    for item in read_items(names, preprocessing, quarantined):
        rows.take(item)
    rows.finish()
    return ShardResults(tuple(names), rows.rows, rows.errors, model.provider if rows.asked else "")


def as_seen(plane: Plane, mode: PreprocessMode, model: Model) -> NDArray[np.uint8]:
    """uint8 [28, 28]: what the model saw of a plane, or would have seen."""
    if mode == "resize":
        return resize_only(plane)
    fits = plane.shape == (SIDE, SIDE) and mode != "mnist"
    if fits and (mode == "none" or has_sprite_form(plane[np.newaxis])[0]):
        return plane
    return answer([plane], model)[0].image


@dataclass
class Rows:
    """The rows of a shard as they come to be.

    Attributes:
        count: of them.
        mode: how images are preprocessed.
        model: what is asked.
        rows: `ROW` [count].
        errors: row -> (kind, message).
        asked: the model was.
    """

    count: int
    mode: PreprocessMode
    model: Model
    errors: dict[int, tuple[str, str]] = field(default_factory=dict)
    asked: bool = False

    def __post_init__(self) -> None:
        self.rows = np.zeros(self.count, ROW)
        self.rows["novelty"] = -np.inf
        self._files: list[tuple[Signature, bytes]] = []
        self._small: dict[int, Plane] = {}
        self._planes: dict[int, Plane] = {}
        self._held = 0

    def take(self, item: Item) -> None:
        """The next file."""
        self._files.append((item.signature, item.digest))
        if item.plane is None:
            self.errors[item.row] = item.error
        elif self.mode == "resize":
            self._small[item.row] = resize_only(item.plane)
        elif self.mode != "mnist" and item.plane.shape == (SIDE, SIDE):
            self._small[item.row] = item.plane
        else:
            self._hold(item.row, item.plane)

    def finish(self) -> None:
        """Answer all that was taken."""
        self.rows["size"] = [signature.size for signature, _ in self._files]
        self.rows["modified_ns"] = [signature.modified_ns for signature, _ in self._files]
        self.rows["sha256"] = np.frombuffer(b"".join(digest for _, digest in self._files), "V32")
        self.rows["status"][list(self.errors)] = ERROR
        if self._small:
            self._answer_small(np.array(list(self._small)), np.stack(list(self._small.values())))
        self._answer_planes()

    def _answer_small(self, numbers: NDArray[np.int64], images: NDArray[np.uint8]) -> None:
        """Images of MNIST's size: those in its form go through untouched, the others are read as any plane."""
        untouched = np.ones(len(images), bool)
        if self.mode == "auto":
            for start in range(0, len(images), AT_ONCE):
                untouched[start : start + AT_ONCE] = has_sprite_form(images[start : start + AT_ONCE])
        for number, image in zip(numbers[~untouched].tolist(), images[~untouched], strict=True):
            self._hold(number, image)
        numbers, images = numbers[untouched], images[untouched]
        if len(numbers):
            self.asked = True
            batch = BATCH if self.model.provider == CPU else len(images)
            probabilities = self.model.probabilities(images, batch_size=batch)
            self.rows["probabilities"][numbers] = probabilities
            self._ask_about_novelty(numbers, images, probabilities)

    def _ask_about_novelty(
        self, numbers: NDArray[np.int64], images: NDArray[np.uint8], probabilities: NDArray[np.float32]
    ) -> None:
        """How new the images are, but for those in MNIST's form that got a sure answer."""
        limits = self.model.metadata.limits
        if limits is None:
            return
        sure = limits.sure if self.mode != "resize" else np.inf
        doubtful = probabilities.max(axis=1) < sure
        if doubtful.any():
            novelty = self.model.answers(images[doubtful], batch_size=int(doubtful.sum())).novelty
            self.rows["novelty"][numbers[doubtful]] = -np.inf if novelty is None else novelty

    def _hold(self, number: int, plane: Plane) -> None:
        self._planes[number] = plane
        self._held += plane.nbytes
        if self._held > HELD_BYTES:
            self._answer_planes()

    def _answer_planes(self) -> None:
        found = answer(list(self._planes.values()), self.model)
        for number, one in zip(self._planes, found, strict=True):
            row = self.rows[number]
            row["probabilities"], row["novelty"] = one.probabilities, one.novelty
            row["status"] = NO_DIGIT if one.reason else OK
            row["reason"] = REASON_NAMES.index(one.reason or one.objection)
            self.asked = self.asked or bool(one.probabilities.any())
        self._planes, self._held = {}, 0
