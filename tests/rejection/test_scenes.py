"""Scenes show what they say, and the same random numbers draw the same."""

import numpy as np

from mnist_pipeline.imaging.readings import read_flat
from mnist_pipeline.rejection.scenes import KINDS, NO_DIGIT, scenes


def test_scenes_of_every_kind_are_drawn_and_say_what_they_show(digits):
    images, labels = digits.images, digits.labels
    drawn = scenes(images, labels, 4 * len(KINDS), np.random.default_rng(1))
    assert [scene.kind for scene in drawn] == 4 * list(KINDS)
    for scene in drawn:
        assert scene.plane.dtype == np.uint8
        assert scene.plane.ndim == 2
        if scene.kind in NO_DIGIT:
            assert (scene.label, scene.row, scene.written) == (None, None, None)
        else:
            assert scene.label == labels[scene.row]
            assert read_flat(scene.written) is not None
    assert len({scene.plane.tobytes() for scene in drawn}) == len(drawn)


def test_scenes_depend_on_the_random_numbers_alone(digits):
    images, labels = digits.images, digits.labels
    first, again = (scenes(images, labels, 24, np.random.default_rng(5)) for _ in range(2))
    assert all((one.plane == other.plane).all() for one, other in zip(first, again, strict=True))
