"""Augmented images are the images, moved as asked."""

import numpy as np
import pytest

from mnist_pipeline.config import AugmentationConfig
from mnist_pipeline.data.dataset import Dataset, to_model_input
from mnist_pipeline.keras_backend import load_keras
from mnist_pipeline.training.architectures import build_model
from mnist_pipeline.training.augmentation import augment, sample, smooth, sources, warp


@pytest.fixture(scope="module")
def images(digits_dataset):
    return Dataset.open(digits_dataset.directory).train.images[:64]


def moved(images, config, seed=1):
    return np.asarray(augment(to_model_input(images), config, load_keras().random.SeedGenerator(seed)))[..., 0]


def middle(images):
    """Centre of mass, y and x, float [n, 2]."""
    mass = images.reshape(len(images), -1).astype(float)
    y, x = np.divmod(np.arange(784), 28)
    return np.stack([(mass * y).sum(1), (mass * x).sum(1)], axis=1) / mass.sum(1, keepdims=True)


def test_nothing_asked_changes_nothing(images):
    assert moved(images, AugmentationConfig()) == pytest.approx(images / 255, abs=1e-6)


def test_a_shift_moves_the_centre_of_mass_by_at_most_so_much(images):
    shifts = middle(moved(images, AugmentationConfig(shift=2))) - middle(images)
    assert np.abs(shifts).max() <= 2 + 1e-3
    assert np.abs(shifts).max(axis=0) == pytest.approx([2, 2], abs=0.2)
    assert shifts.mean(axis=0) == pytest.approx([0, 0], abs=0.5)


def test_a_whole_pixel_is_shifted_exactly():
    dot = np.zeros((1, 28, 28), np.float32)
    dot[0, 10, 12] = 1
    nothing, down, right = np.zeros((1, 1)), np.array([[3.0]]), np.array([[-1.0]])
    shifted = np.asarray(warp(dot[..., None], nothing, nothing, nothing, down, right))[..., 0]
    assert shifted[0, 13, 11] == 1
    assert shifted.sum() == 1


def test_a_rotation_keeps_the_ink_and_turns_by_at_most_so_much():
    bar = np.zeros((256, 28, 28), np.uint8)
    bar[:, 6:22, 13:15] = 255
    turned = moved(bar, AugmentationConfig(rotation=10))
    ink = turned.reshape(256, -1)
    assert ink.sum(1) == pytest.approx(np.full(256, 32), rel=0.05)
    y, x = np.divmod(np.arange(784), 28) - np.full((2, 784), 13.5)
    angles = np.degrees(0.5 * np.arctan2(2 * (ink * x * y).sum(1), (ink * (y**2 - x**2)).sum(1)))
    assert np.abs(angles).max() == pytest.approx(10, abs=0.6)
    assert abs(angles.mean()) < 1.5


def test_a_zoom_changes_the_size_by_at_most_so_much():
    square = np.zeros((256, 28, 28), np.uint8)
    square[:, 8:20, 8:20] = 255
    sides = np.sqrt(moved(square, AugmentationConfig(zoom=0.25)).sum((1, 2)))
    assert sides.max() == pytest.approx(12 * 1.25, abs=0.2)
    assert sides.min() == pytest.approx(12 * 0.75, abs=0.2)


def test_a_shear_slants_upright_lines_and_leaves_level_ones():
    upright, level = np.zeros((2, 128, 28, 28), np.uint8)
    upright[:, 6:22, 13:15] = 255
    level[:, 13:15, 6:22] = 255
    slanted = moved(upright, AugmentationConfig(shear=20))
    tops = middle(slanted[:, 6:8].repeat(14, axis=1))[:, 1] - 13.5
    assert np.abs(tops).max() == pytest.approx(7 * np.tan(np.radians(20)), abs=0.4)
    assert moved(level, AugmentationConfig(shear=20))[:, 13:15].sum((1, 2)) == pytest.approx(np.full(128, 32), rel=0.05)


def test_both_ways_of_reading_moved_images_agree(images):
    changes = [np.full((len(images), 1), amount, np.float32) for amount in (0.2, -0.1, 0.3, 1.5, -2.25)]
    expected = np.asarray(warp(to_model_input(images), *changes))
    assert np.asarray(sample(to_model_input(images), *sources(*changes))) == pytest.approx(expected, abs=1e-5)


def test_what_is_read_outside_is_empty():
    full = np.ones((1, 28, 28, 1), np.float32)
    for far in (-1e4, -1.0, 28.0, 1e4):
        x, y = np.full((1, 784), far, np.float32), np.full((1, 784), 10, np.float32)
        assert not np.asarray(sample(full, x, y)).any()
        assert not np.asarray(sample(full, y, x)).any()


def test_an_elastic_change_moves_neighbours_alike_and_each_pixel_by_so_much():
    draws = load_keras().random.SeedGenerator(1)
    fields = np.asarray(smooth(load_keras().random.normal((2_000, 5, 5), stddev=0.7, seed=draws)))
    assert fields.std(axis=0) == pytest.approx(np.full((28, 28), 0.7), rel=0.1)
    assert np.abs(np.diff(fields, axis=2)).max() < 0.7
    assert np.corrcoef(fields[:, 0, 0], fields[:, 27, 27])[0, 1] == pytest.approx(0, abs=0.1)
    lines = np.zeros((256, 28, 28), np.uint8)
    lines[:, :, 13:15] = 255
    bent = moved(lines, AugmentationConfig(elastic=0.7))
    inner = bent[:, 4:24]
    places = (inner * np.arange(28)).sum(2) / inner.sum(2) - 13.5
    assert places.std() == pytest.approx(0.7, rel=0.15)
    assert places.std(axis=1).mean() > 0.3  # bent, not shifted


def test_noise_leaves_half_of_the_images_and_is_at_most_so_strong():
    grey = np.full((2_000, 28, 28), 128, np.uint8)
    deviations = moved(grey, AugmentationConfig(noise=0.1)).std(axis=(1, 2))
    assert (deviations < 1e-6).mean() == pytest.approx(0.5, abs=0.05)
    assert deviations.max() == pytest.approx(0.1, rel=0.1)
    assert deviations[deviations > 1e-6].mean() == pytest.approx(0.05, rel=0.1)


def test_noise_keeps_the_range_of_the_images(images):
    noisy = moved(images, AugmentationConfig(noise=1))
    assert noisy.min() == 0
    assert noisy.max() == 1
    assert np.abs(noisy - images / 255).mean() > 0.05


def test_draws_differ_between_images_and_between_steps(images):
    same = np.repeat(images[:1], 8, axis=0)
    draws = load_keras().random.SeedGenerator(3)
    config = AugmentationConfig(rotation=10)
    first, second = (np.asarray(augment(to_model_input(same), config, draws)) for _ in range(2))
    assert len({image.tobytes() for image in (*first, *second)}) == 16


def test_training_sees_what_evaluation_sees_when_nothing_is_augmented(images):
    from mnist_pipeline.training.training_model import TrainingModel

    core = build_model("codelab", seed=1)
    model = TrainingModel(core, images, AugmentationConfig(rotation=9), seed=2)
    rows = np.array([5, 0, 63], np.int32)
    expected = core.predict(to_model_input(images[rows]), verbose=0)
    assert np.asarray(model(rows, training=False)) == pytest.approx(expected, abs=1e-6)
    assert np.abs(np.asarray(model(rows, training=True)) - expected).max() > 1e-4
