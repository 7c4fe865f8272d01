"""The rows of one shard: read, decode, find readings, classify, choose."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline import SIDE
from mnist_pipeline.imaging.decoding import decode
from mnist_pipeline.imaging.errors import ImageError
from mnist_pipeline.imaging.form import has_sprite_form, resize_only
from mnist_pipeline.imaging.planes import Plane
from mnist_pipeline.inference import Answers, ModelMetadata
from mnist_pipeline.inference.sessions import CPU
from mnist_pipeline.rejection.answering import answer
from mnist_pipeline.rejection.answers import ERROR, NO_DIGIT, OK, REASON_NAMES
from mnist_pipeline.scoring.items import Item, Preprocessing, read_items
from mnist_pipeline.scoring.results import ROW, ShardResults
from mnist_pipeline.scoring.sources.reading import Signature

AT_ONCE = 128
"""Images whose form is looked at together: their temporary arrays fit into the cache."""
BATCH = 32
"""Images that a CPU classifies at once: what their layers say of them fits into the cache."""
HELD_BYTES = 32_000_000
"""Planes, and files that may be looked at again, which are held before they are answered."""


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
    rows = Rows(len(names), preprocessing, model)
    for item in read_items(names, preprocessing, quarantined):
        rows.take(item)
    rows.finish()
    return ShardResults(tuple(names), rows.rows, rows.errors, model.provider if rows.asked else "")


def score_one(name: bytes, preprocessing: Preprocessing, model: Model) -> "tuple[Item, Rows]":
    """One image, as `score_names` does it: what was read, and its row."""
    [item] = read_items([name], preprocessing, {})
    rows = Rows(1, preprocessing, model)
    rows.take(item)
    rows.finish()
    return item, rows


@dataclass
class Rows:
    """The rows of a shard as they come to be.

    Attributes:
        count: of them.
        preprocessing: how images are preprocessed.
        model: what is asked.
        rows: `ROW` [count].
        seen: row -> uint8 [28, 28], what the model saw or would have seen; none where there is an error.
        errors: row -> (kind, message).
        asked: the model was.
    """

    count: int
    preprocessing: Preprocessing
    model: Model
    seen: dict[int, Plane] = field(default_factory=dict)
    errors: dict[int, tuple[str, str]] = field(default_factory=dict)
    asked: bool = False

    def __post_init__(self) -> None:
        self.rows = np.zeros(self.count, ROW)
        self.rows["novelty"] = -np.inf
        self._files: list[tuple[Signature, bytes]] = []
        self._small: list[int] = []
        self._planes: dict[int, Plane] = {}
        self._data: dict[int, bytes] = {}
        self._held = 0

    def take(self, item: Item) -> None:
        """The next file."""
        self._files.append((item.signature, item.digest))
        mode = self.preprocessing.mode
        if item.plane is None:
            self.errors[item.row] = item.error
        elif mode == "resize" or (mode != "mnist" and item.plane.shape == (SIDE, SIDE)):
            self._small.append(item.row)
            self.seen[item.row] = resize_only(item.plane) if mode == "resize" else item.plane
        else:
            self._hold(item.row, item.plane, item.data)

    def finish(self) -> None:
        """Answer all that was taken."""
        self.rows["size"] = [signature.size for signature, _ in self._files]
        self.rows["modified_ns"] = [signature.modified_ns for signature, _ in self._files]
        self.rows["sha256"] = np.frombuffer(b"".join(digest for _, digest in self._files), "V32")
        self.rows["status"][list(self.errors)] = ERROR
        if self._small:
            self._answer_small(np.array(self._small), np.stack([self.seen[number] for number in self._small]))
        self._answer_planes()

    def _answer_small(self, numbers: NDArray[np.int64], images: NDArray[np.uint8]) -> None:
        """Images of MNIST's size: those in its form go through untouched, the others are read as any plane."""
        untouched = np.ones(len(images), bool)
        if self.preprocessing.mode == "auto":
            for start in range(0, len(images), AT_ONCE):
                untouched[start : start + AT_ONCE] = has_sprite_form(images[start : start + AT_ONCE])
        for number, image in zip(numbers[~untouched].tolist(), images[~untouched], strict=True):
            self._hold(number, image)
        numbers, images = numbers[untouched], images[untouched]
        if len(numbers):
            self.asked = True
            probabilities = self.model.probabilities(images, batch_size=self._batch(images))
            self.rows["probabilities"][numbers] = probabilities
            self._ask_about_novelty(numbers, images, probabilities)

    def _ask_about_novelty(
        self, numbers: NDArray[np.int64], images: NDArray[np.uint8], probabilities: NDArray[np.float32]
    ) -> None:
        """How new the images are, but for those in MNIST's form that got a sure answer."""
        limits = self.model.metadata.limits
        if limits is None:
            return
        sure = limits.sure if self.preprocessing.mode != "resize" else np.inf
        doubtful = probabilities.max(axis=1) < sure
        if doubtful.any():
            asked = images[doubtful]
            novelty = self.model.answers(asked, batch_size=self._batch(asked)).novelty
            self.rows["novelty"][numbers[doubtful]] = -np.inf if novelty is None else novelty

    def _batch(self, images: NDArray[np.uint8]) -> int:
        return BATCH if self.model.provider == CPU else len(images)

    def _hold(self, number: int, plane: Plane, data: bytes = b"") -> None:
        self._planes[number] = plane
        if data:
            self._data[number] = data
        self._held += plane.nbytes + len(data)
        if self._held > HELD_BYTES:
            self._answer_planes()

    def _answer_planes(self) -> None:
        numbers = list(self._planes)
        found = answer(list(self._planes.values()), self.model, lambda place: self._whole(numbers[place]))
        for number, one in zip(numbers, found, strict=True):
            row = self.rows[number]
            row["probabilities"], row["novelty"] = one.probabilities, one.novelty
            row["status"] = NO_DIGIT if one.reason else OK
            row["reason"] = REASON_NAMES.index(one.reason or one.objection)
            self.seen[number] = one.image
            self.asked = self.asked or bool(one.probabilities.any())
        self._planes, self._data, self._held = {}, {}, 0

    def _whole(self, number: int) -> Plane:
        """All that there is to see of a picture, as far as the memory allows it."""
        if number not in self._data:
            return self._planes[number]
        try:
            return decode(self._data[number], self.preprocessing.max_pixels)
        except (ImageError, MemoryError):
            return self._planes[number]
