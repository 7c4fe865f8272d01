"""The embedded digits: the same pixels everywhere, in MNIST's form."""

import numpy as np
import pytest

from mnist_pipeline.data.description import load_description
from mnist_pipeline.data.digits import draw_on_canvas, load_embedded_digits
from mnist_pipeline.data.sprite import encode_labels
from mnist_pipeline.files import sha256_bytes


@pytest.fixture(scope="module")
def digits():
    return load_embedded_digits()


def test_content_is_pinned(digits):
    images, labels = digits
    pinned = load_description("digits").digests
    assert (images.shape, images.dtype, labels.shape, labels.dtype) == ((1_797, 28, 28), np.uint8, (1_797,), np.uint8)
    assert sha256_bytes(images.tobytes()) == pinned.pixels
    assert sha256_bytes(encode_labels(labels)) == pinned.labels


def test_ink_fits_twenty_pixels_and_is_centred_by_mass(digits):
    images, _ = digits
    inked = images > 0
    heights = inked.any(axis=2).sum(axis=1)
    widths = inked.any(axis=1).sum(axis=1)
    assert max(heights.max(), widths.max()) == 20
    assert np.maximum(heights, widths).min() >= 18  # faint edges may round to nothing
    mass = images.sum(axis=(1, 2))
    for axis in (1, 2):
        centre = (images.sum(axis=3 - axis) * np.arange(28)).sum(axis=1) / mass
        assert np.abs(centre - 14).max() <= 0.5  # pixel 14, as MNIST's (tests/data/test_real_sprite.py)
        assert abs(centre.mean() - 14) < 0.02


def test_rows_keep_their_labels(digits):
    """A nearest-neighbour look at the source: each canvas, made small again, is closest to its own class."""
    from sklearn.datasets import load_digits

    images, labels = digits
    counts = np.bincount(labels, minlength=10)
    assert counts.tolist() == np.bincount(load_digits().target, minlength=10).tolist()
    flat = images.reshape(len(images), -1).astype(np.float32)
    queries, known = flat[1_437:], flat[:1_437]
    distances = (queries**2).sum(1)[:, None] - 2 * queries @ known.T + (known**2).sum(1)
    assert (labels[:1_437][distances.argmin(axis=1)] == labels[1_437:]).mean() > 0.95


def test_aspect_is_kept_and_full_ink_stays_full():
    bar = np.zeros((8, 8), np.int64)
    bar[1:7, 3:5] = 16
    canvas = draw_on_canvas(bar)
    ys, xs = np.nonzero(canvas)
    assert (ys.min(), ys.max() + 1, xs.min(), xs.max() + 1) == (5, 25, 11, 18)  # 6x2 grows to 20x7
    assert set(np.unique(canvas)) == {0, 255}


def test_enlargement_is_bilinear():
    two = np.array([[16, 0, 16]], np.int64)
    line = draw_on_canvas(two)
    row = line[line.any(axis=1)][0]
    ink = row[row > 0]
    assert ink[0] == 255
    assert ink[-1] == 255
    assert ink.tolist() == ink[::-1].tolist()
