"""The network that knows what is no digit: it learns, it resumes, and one serves every preset."""

import json
from pathlib import Path

import numpy as np
import pytest

from mnist_pipeline.data.dataset import Dataset, to_model_input
from mnist_pipeline.keras_backend import load_keras
from mnist_pipeline.rejection import negatives
from mnist_pipeline.rejection.samples import NONE, draw_samples
from mnist_pipeline.training import novelty
from mnist_pipeline.workspace import RunDirectory

ROWS = 96
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def small():
    """Few rows and epochs: seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(novelty, "MOST_ROWS", ROWS)
        patch.setattr(novelty, "EPOCHS", 3)
        yield


@pytest.fixture(scope="module")
def trained(digits_dataset, tmp_path_factory, small):
    folder = tmp_path_factory.mktemp("novelty")
    run = RunDirectory(folder / "run")
    return run, novelty.train_novelty(digits_dataset, run, folder / "checkpoints")


def strangeness(run: RunDirectory, images: np.ndarray) -> np.ndarray:
    logits = load_keras().models.load_model(run.novelty_keras).predict(to_model_input(images), verbose=0)
    return logits[:, NONE] - np.log(np.exp(logits[:, :NONE]).sum(axis=1))


def test_it_finds_what_is_no_digit_among_digits_that_it_never_saw(trained, digits_dataset):
    run, _ = trained
    data = Dataset.open(digits_dataset.directory)
    others = draw_samples(data.test.images, data.test.labels, 100, np.random.default_rng(77))
    digits = np.sort(strangeness(run, data.test.images))
    none = strangeness(run, others.images[others.classes == NONE])
    stranger = np.searchsorted(digits, none) / len(digits)  # the share of the digits that each is stranger than
    assert stranger.mean() > 0.7


def test_the_handle_says_what_was_made(trained):
    run, made = trained
    told = json.loads(run.novelty.read_text())
    assert made.verify().samples == told["samples"] > 5 * ROWS
    assert made.parameters == told["parameters"] == novelty.build_novelty().count_params()
    assert 0.4 < told["negatives"] / told["samples"] < 0.6


class Killed(BaseException):
    """Ends a training where nothing catches it."""


def test_an_interrupted_training_ends_with_the_same_weights(trained, digits_dataset, tmp_path):
    _, whole = trained

    def kill_in_second_epoch(progress):
        if progress.activity.startswith("novelty, epoch 2"):
            raise Killed

    run, checkpoints = RunDirectory(tmp_path / "run"), tmp_path / "checkpoints"
    with pytest.raises(Killed):
        novelty.train_novelty(digits_dataset, run, checkpoints, kill_in_second_epoch)
    assert not run.novelty_keras.exists()
    told = []
    resumed = novelty.train_novelty(digits_dataset, run, checkpoints, lambda progress: told.append(progress.activity))
    assert resumed.weights_sha256 == whole.weights_sha256
    assert list(dict.fromkeys(told)) == ["novelty, pictures", "novelty, epoch 2/3", "novelty, epoch 3/3"]


@pytest.mark.usefixtures("small")
def test_a_damaged_checkpoint_is_not_trusted(digits_dataset, tmp_path, caplog):
    begun = []

    def kill_at_once(progress):
        if progress.unit == "batches":
            begun.append((progress.activity, progress.done))
            raise Killed

    checkpoints = tmp_path / "checkpoints"
    checkpoints.mkdir()
    (checkpoints / "novelty.npz").write_bytes(b"half a file")
    with pytest.raises(Killed):
        novelty.train_novelty(digits_dataset, RunDirectory(tmp_path / "run"), checkpoints, kill_at_once)
    assert begun == [("novelty, epoch 1/3", 1)]
    assert "is no whole checkpoint" in caplog.text


def test_no_row_that_a_preset_may_hold_out_is_shown(digits_dataset, monkeypatch, tmp_path):
    shown = []

    def look(images, *_):
        shown.append(images)
        raise Killed

    monkeypatch.setattr(novelty, "draw_blocks", look)
    with pytest.raises(Killed):
        novelty.train_novelty(digits_dataset, RunDirectory(tmp_path), Path(tmp_path / "checkpoints"))
    most = Dataset.open(digits_dataset.directory, validation_rows=10**9)
    held_out = {image.tobytes() for image in most.validation.images}
    assert len(shown[0]) == len(most.train)
    assert sum(image.tobytes() in held_out for image in shown[0]) == 0
    assert negatives.KINDS
