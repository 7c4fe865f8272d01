"""Which own images are fitted besides the train rows: their form, and what keeps one out."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline import MAX_PIXELS, NO_DIGIT, SIDE
from mnist_pipeline.data.dataset import Dataset
from mnist_pipeline.imaging.decoding import decode
from mnist_pipeline.imaging.form import has_sprite_form
from mnist_pipeline.imaging.likeness import (
    are_alike,
    directions,
    ink_box,
    light_ink,
    most_similar,
    outline,
    read_outline,
    shrinks_to,
)
from mnist_pipeline.imaging.planes import Plane
from mnist_pipeline.imaging.readings import read_flat
from mnist_pipeline.labels.catalogue import LabelledImage
from mnist_pipeline.labels.store import LabelStore

KNOWN = "in the dataset already"
LIKE_OWN_TEST = "like an own-test image"
LIKE_TEST_ROW = "like a test image of the dataset"
WITHOUT_DIGIT = "labelled as no digit"


class Selection:
    """Brings images of the train side into the sprite's form, or says why they are not fitted.

    Args:
        store: the labels.
        own_test: images that must never be fitted, nor anything like them.
        data: likewise its test rows; and none of its rows is fitted twice.
    """

    def __init__(self, store: LabelStore, own_test: Sequence[LabelledImage], data: Dataset) -> None:
        self._store, self._own_test = store, own_test
        self._outlines = directions(np.array([_outline_of(image) for image in own_test], np.uint8))
        self._boxes: dict[int, Plane] = {}
        self._known = {_fingerprint(image) for image in data.images}
        self._test_rows = RowFinder(data.test.images)

    def image_of(self, one: LabelledImage) -> tuple[NDArray[np.uint8] | None, str]:
        """uint8 [28, 28], each once; or None and the reason."""
        if one.label == NO_DIGIT:
            return None, WITHOUT_DIGIT
        plane = self._plane(one)
        if self._is_like_own_test(one, plane):
            return None, LIKE_OWN_TEST
        image, reason = _read(plane)
        if reason or image is None:
            return None, reason
        if (fingerprint := _fingerprint(image)) in self._known:
            return None, KNOWN
        if self._test_rows.finds(plane):
            return None, LIKE_TEST_ROW
        self._known.add(fingerprint)
        return image, ""

    def _is_like_own_test(self, one: LabelledImage, plane: Plane) -> bool:
        similar = most_similar(_outline_of(one), self._outlines)
        self._boxes |= {p: ink_box(self._plane(self._own_test[p])) for p in similar if p not in self._boxes}
        return any(are_alike(ink_box(plane), self._boxes[place]) for place in similar)

    def _plane(self, image: LabelledImage) -> Plane:
        return decode(self._store.image(image.digest), MAX_PIXELS)


class RowFinder:
    """Tells pictures that are drawn from rows: enlarged, inverted, or saved in another format.

    Args:
        rows: uint8 [n, 28, 28], light ink on dark.
    """

    def __init__(self, rows: NDArray[np.uint8]) -> None:
        self._boxes = [ink_box(row) for row in rows]
        self._outlines = directions(np.array([outline(box) for box in self._boxes], np.uint8))

    def finds(self, plane: Plane) -> bool:
        """Whether the plane, uint8 [h, w], is drawn from one of them."""
        box = ink_box(light_ink(plane))
        return any(shrinks_to(box, self._boxes[place]) for place in most_similar(outline(box), self._outlines))


def _outline_of(image: LabelledImage) -> NDArray[np.uint8]:
    return read_outline(image.answers[0].outline)


def _read(plane: Plane) -> tuple[NDArray[np.uint8] | None, str]:
    """The image in the sprite's form, or why it cannot be had.

    Nothing else than the flat reading can be trusted without a model that chooses.
    """
    if plane.shape == (SIDE, SIDE) and has_sprite_form(plane[np.newaxis])[0]:
        return plane, ""
    reading = read_flat(plane)
    if reading is None:
        return None, "no digit: blank"
    return reading.image, f"no digit: {reading.objection}" if reading.objection else ""


def _fingerprint(image: NDArray[np.uint8]) -> bytes:
    return hashlib.blake2b(image.tobytes(), digest_size=16).digest()
