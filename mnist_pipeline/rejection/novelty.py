"""Whether a 28x28 image looks like any digit at all: a small network beside the classifier. Pure.

A classifier divides all its probability between ten digits, so that it can be sure of a letter. This network was shown
digits, and pictures that are none (`rejection.fitting` fits it), and says how strange an image is.

What it looks at are the directions of edges, counted in cells, as in histograms of oriented gradients (Dalal and
Triggs, CVPR 2005): strokes that meet in ways in which no digit's do stand out there more than among pixels.
"""

import base64
import binascii
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from mnist_pipeline.errors import IntegrityError
from mnist_pipeline.mnist_form import SIDE
from mnist_pipeline.schema import Record

CELL = 4
"""Pixels of a cell's side."""
DIRECTIONS = 8
NARROW = np.float32(0.7)
"""An edge counts for a direction as far as its component along it exceeds this share of its strength."""
FEATURES = (SIDE // CELL) ** 2 * DIRECTIONS
ANSWERS = 11
"""The ten classes, and none of them."""
AT_ONCE = 128
"""Images that are looked at together: their temporary arrays fit into the cache."""

Floats = NDArray[np.float32]


class Novelty(Record):
    """The network, as it is stored: one hidden layer, then `ANSWERS` logits.

    Attributes:
        hidden: neurons of the hidden layer.
        weights: Base64 of little-endian float16: [FEATURES + 1, hidden], then [hidden + 1, ANSWERS]; the last row of
            each are the biases.
        threshold: an image that is stranger is no digit.
        sure: of an image that came in MNIST's form and was answered with this confidence at least, it is not asked.
        rows: train images that it was fitted on.
    """

    hidden: int
    weights: str
    threshold: float
    sure: float
    rows: int

    def strangeness(self, images: NDArray[np.uint8]) -> Floats:
        """float32 [n]: the log-odds that each of uint8 [n, 28, 28] is none of the classes."""
        into, out = self._layers
        found = np.empty(len(images), np.float32)
        for start in range(0, len(images), AT_ONCE):
            seen = describe(images[start : start + AT_ONCE])
            logits = np.maximum(seen @ into[:-1] + into[-1], 0) @ out[:-1] + out[-1]
            known, none = logits[:, :-1], logits[:, -1]
            top = known.max(axis=1)
            found[start : start + AT_ONCE] = none - top - np.log(np.exp(known - top[:, None]).sum(axis=1))
        return found

    @cached_property
    def _layers(self) -> tuple[Floats, Floats]:
        try:
            values = np.frombuffer(base64.b64decode(self.weights, validate=True), "<f2").astype(np.float32)
            split = (FEATURES + 1) * self.hidden
            return values[:split].reshape(FEATURES + 1, self.hidden), values[split:].reshape(self.hidden + 1, ANSWERS)
        except (binascii.Error, ValueError) as error:
            raise IntegrityError(f"the stored rule for images that are no digit is broken: {error}") from None


def encode(into: Floats, out: Floats) -> str:
    """Two layers, biases last, as `Novelty.weights`."""
    return base64.b64encode(np.concatenate([into.ravel(), out.ravel()]).astype("<f2").tobytes()).decode()


def read_novelty(rejection: object) -> Novelty | None:
    """What ``rejection`` of an evaluation.json holds; None where it is of an older evaluation, or was not fitted.

    Raises:
        IntegrityError: it holds something else.
    """
    stored = rejection.get("novelty") if isinstance(rejection, dict) else None
    try:
        return None if stored is None else Novelty.model_validate(stored)
    except ValidationError as error:
        raise IntegrityError(f"the stored rule for images that are no digit is broken: {error}") from None


def describe(images: NDArray[np.uint8] | Floats) -> Floats:
    """float32 [n, FEATURES] in [0, 2]: how much edge of each direction lies in and near each cell of [n, 28, 28]."""
    count, cells = len(images), SIDE // CELL
    padded = np.zeros((count, SIDE + 2, SIDE + 2), np.float32)
    padded[:, 1:-1, 1:-1] = images
    # Sobel's operator: the difference across, smoothed along.
    down = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    across = padded[:, :, :-2] + 2 * padded[:, :, 1:-1] + padded[:, :, 2:]
    dx, dy = down[:, :, 2:] - down[:, :, :-2], across[:, 2:] - across[:, :-2]
    least = np.sqrt(dx * dx + dy * dy) * NARROW
    cell_sums = np.empty((count, cells, cells, DIRECTIONS), np.float32)
    for half in range(DIRECTIONS // 2):
        angle = 2 * np.pi * half / DIRECTIONS
        along = dx * np.float32(np.cos(angle)) + dy * np.float32(np.sin(angle))
        cell_sums[..., half] = _by_cell(np.maximum(along - least, 0))
        cell_sums[..., half + DIRECTIONS // 2] = _by_cell(np.maximum(-along - least, 0))
    smooth = _with_neighbours(_with_neighbours(cell_sums).swapaxes(1, 2)).swapaxes(1, 2)
    features: Floats = np.sqrt(smooth.reshape(count, FEATURES) / np.float32(4 * 255))
    return features


def _by_cell(values: Floats) -> Floats:
    """Sums over the cells of [n, 28, 28]."""
    rows = values.reshape(len(values), SIDE // CELL, CELL, SIDE)
    strips = rows[:, :, 0] + rows[:, :, 1] + rows[:, :, 2] + rows[:, :, 3]
    sums: Floats = strips[:, :, 0::4] + strips[:, :, 1::4] + strips[:, :, 2::4] + strips[:, :, 3::4]
    return sums


def _with_neighbours(cells: Floats) -> Floats:
    """Half of each cell, and a quarter of each of its neighbours along the second axis."""
    mixed: Floats = cells * np.float32(0.5)
    mixed[:, 1:] += cells[:, :-1] * np.float32(0.25)
    mixed[:, :-1] += cells[:, 1:] * np.float32(0.25)
    return mixed
