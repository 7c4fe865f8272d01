"""Readings of scenes, right and wrong ones: what a network must tell apart that is to choose among readings. Pure."""

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.imaging.likeness import correlation
from mnist_pipeline.imaging.readings import read_flat, read_further
from mnist_pipeline.rejection.classes import NONE, Samples
from mnist_pipeline.rejection.scenes import Scene, scenes

RIGHT, WRONG = 0.75, 0.5
"""A reading shows the digit where it correlates with it by more than the first, and nothing by less than the second."""


def mine(images: NDArray[np.uint8], labels: NDArray[np.uint8], count: int, random: np.random.Generator) -> Samples:
    """The readings of ``count`` scenes, about four of each, with the digit that they show, or `NONE`.

    Readings that show the digit neither well nor badly are left out. Arguments as `scenes.scenes`.
    """
    found: list[tuple[NDArray[np.uint8], int]] = []
    for scene in scenes(images, labels, count, random):
        first = read_flat(scene.plane)
        shown = [reading.image for reading in ([] if first is None else [first]) + read_further(scene.plane)]
        found += [(image, label) for image, label in zip(shown, _judge(scene, shown), strict=True) if label is not None]
    return Samples(np.stack([image for image, _ in found]), np.array([label for _, label in found], np.uint8))


def _judge(scene: Scene, shown: list[NDArray[np.uint8]]) -> list[int | None]:
    """The class of each reading; None where it cannot be told."""
    truth = None if scene.written is None else read_flat(scene.written)
    if truth is None or scene.label is None:
        return [NONE] * len(shown)
    likenesses = [correlation(image, truth.image) for image in shown]
    return [scene.label if like > RIGHT else NONE if like < WRONG else None for like in likenesses]
