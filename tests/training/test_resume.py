"""A training that was killed goes on from its last finished epoch, to the same weights."""

import os
import signal
import time

import numpy as np
import pytest

from mnist_pipeline.config import AugmentationConfig, TrainConfig
from mnist_pipeline.training.checkpoint import Checkpoint, CheckpointStore, remove_abandoned
from mnist_pipeline.training.training_log import TrainingLog
from tests.training.conftest import SMALL
from tests.training.worker import start

# Everything that has a state: moments of two kinds, a schedule, augmentation, dropout, statistics, averages, members.
CONFIG = TrainConfig(
    preset="codelab-full",
    architecture="compact",
    optimizer="muon",
    train_rows=300,
    learning_rate=0.002,
    schedule="cosine",
    batch_size=16,
    epochs=2,
    members=2,
    average_batches=30,
    augmentation=AugmentationConfig(rotation=5, shift=1, elastic=0.5, noise=0.1),
    seed=11,
)


def test_a_training_killed_twice_ends_with_the_weights_of_an_undisturbed_one(forks, train, digits_dataset, tmp_path):
    undisturbed = train(CONFIG)
    # Once with a network half trained; and once with a finished one, whose compiled step would have served the next.
    for epochs, before in ((1, 0), (2, 1)):
        child = start(forks, CONFIG, digits_dataset, tmp_path)
        seen = before
        for line in child.stdout:
            seen += line.endswith("whole\n")
            if seen == epochs and line.endswith("part\n"):  # in the middle of the next epoch
                child.send_signal(signal.SIGKILL)
                break
        assert child.end()[0] == -signal.SIGKILL
        assert [path.name for path in (tmp_path / "run").iterdir()] == ["live.jsonl"]  # what could be watched

    resumed = train(CONFIG, checkpoints=tmp_path / "checkpoints")
    assert "went on after epoch 2 of an interrupted training" in resumed.history.notes
    assert resumed.result.weights_sha256 == undisturbed.result.weights_sha256
    assert resumed.history.batches == undisturbed.history.batches
    assert [(e.epoch, e.member, e.val_loss) for e in resumed.history.epochs] == [
        (e.epoch, e.member, e.val_loss) for e in undisturbed.history.epochs
    ]
    assert len([p for p in resumed.progress if "val_loss" in p.metrics]) == 2


def test_what_was_fitted_before_a_kill_counts_towards_the_time_limit(forks, train, digits_dataset, tmp_path):
    config = SMALL.model_copy(update={"train_rows": 300, "batch_size": 16, "epochs": 1_000})
    child = start(forks, config, digits_dataset, tmp_path)
    next(line for line in child.stdout if line.endswith("whole\n"))
    child.send_signal(signal.SIGKILL)
    child.end()
    resumed = train(config, checkpoints=tmp_path / "checkpoints", max_minutes=1e-6)
    finished = next(int(note.split()[4]) for note in resumed.history.notes if note.startswith("went on after epoch"))
    assert len(resumed.history.epochs) == finished + 1
    assert resumed.history.stopped == "max_minutes"
    batches = -(-config.train_rows // config.batch_size)
    assert finished * batches < len(resumed.history.batches.loss) < (finished + 1) * batches


def test_a_checkpoint_of_another_training_is_left_alone(small, train, caplog):
    other = train(checkpoints=small.checkpoints, epochs=1, seed=99)
    assert "another training" in caplog.text
    assert len(other.history.epochs) == 1
    assert other.result.weights_sha256 != small.result.weights_sha256


def test_a_finished_training_is_not_trained_again(train):
    first = train(epochs=1)
    again = train(epochs=1, checkpoints=first.checkpoints)
    assert again.progress == []
    assert again.result.weights_sha256 == first.result.weights_sha256


@pytest.fixture
def store(tmp_path):
    return CheckpointStore(tmp_path, "mine")


@pytest.fixture
def stored(store):
    state = [np.arange(6, dtype=np.float32).reshape(2, 3), np.array(7, dtype=np.int64)]
    written = Checkpoint(
        TrainingLog(fit_seconds=1.5), [[np.ones(2)], [np.zeros(3)]], [np.full(4, 2.5)], state, state[:1]
    )
    store.save(written)
    return written


def test_a_checkpoint_comes_back_as_it_was(stored, store):
    found = store.load()
    assert found.log == stored.log
    for name in ("best", "state", "optimizer"):
        for a, b in zip(getattr(found, name), getattr(stored, name), strict=True):
            assert (a == b).all()
            assert a.dtype == b.dtype
            assert a.shape == b.shape
    assert [[array.tolist() for array in member] for member in found.finished] == [[[1, 1]], [[0, 0, 0]]]


@pytest.mark.usefixtures("stored")
def test_a_broken_checkpoint_is_passed_over(store, caplog):
    whole = store.path.read_bytes()
    for broken in (b"", whole[:100], whole[: len(whole) // 2], whole[:200] + b"\0\1\2" + whole[203:]):
        store.path.write_bytes(broken)
        assert store.load() is None
    assert caplog.text.count("training starts anew") == 4


@pytest.mark.usefixtures("stored")
def test_a_checkpoint_cannot_carry_code(store):
    np.savez(store.path, json=np.array([object()], dtype=object))
    assert store.load() is None


def test_checkpoints_that_nobody_went_on_with_are_removed_and_no_others(tmp_path):
    now = time.time()
    for name, days in (("abandoned", 31), ("recent", 29), ("wanted", 400)):
        file = tmp_path / name / "training.npz"
        file.parent.mkdir()
        file.write_bytes(b"")
        for path in (file, file.parent):
            os.utime(path, (now, now - days * 86_400))
    renewed = tmp_path / "renewed" / "training.npz"
    renewed.parent.mkdir()
    renewed.write_bytes(b"")
    os.utime(renewed.parent, (now, now - 400 * 86_400))

    remove_abandoned(tmp_path, wanted=tmp_path / "wanted")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["recent", "renewed", "wanted"]
    remove_abandoned(tmp_path / "nothing", wanted=tmp_path)
