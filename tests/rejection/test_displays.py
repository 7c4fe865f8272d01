"""Digits of seven segments, and signs: each looks like what it is called."""

import numpy as np
import pytest

from mnist_pipeline.imaging.drawing import in_form
from mnist_pipeline.imaging.likeness import correlation
from mnist_pipeline.rejection import displays


def drawn(count: int, seed: int) -> list[tuple[np.ndarray, int]]:
    random = np.random.default_rng(seed)
    found = []
    for canvas, label in (displays.digit(random) for _ in range(count)):
        image = in_form(canvas)
        assert image is not None
        found.append((image, label))
    return found


def test_digits_look_like_those_of_their_class_by_other_hands():
    known = drawn(200, 1)
    assert {label for _, label in known} == set(range(10))
    named = [(max(known, key=lambda one: correlation(image, one[0]))[1], label) for image, label in drawn(60, 2)]
    assert np.mean([name == label for name, label in named]) > 0.9


@pytest.mark.parametrize("seed", range(3))
def test_no_sign_has_the_segments_of_a_digit(seed, monkeypatch):
    lit = []
    monkeypatch.setattr(displays, "_lit", lambda letters, _: lit.append(letters))
    random = np.random.default_rng(seed)
    for _ in range(300):
        displays.sign(random)
    assert all(letters == "".join(sorted(set(letters))) and "g" in letters for letters in lit)
    assert len(set(lit)) > 30
    assert not {"abdeg", "abcdg", "bcfg", "acdfg", "acdefg", "abcdefg", "abcdfg"} & set(lit)
    assert {"abcefg", "bcefg", "defg"} <= set(lit)  # A, H, t
