"""A training writes a model that has learned, and a history that says how."""

import numpy as np
import pytest

from mnist_pipeline.data.dataset import Dataset, to_model_input
from mnist_pipeline.errors import MissingExtraError
from mnist_pipeline.keras_backend import load_keras
from mnist_pipeline.runs.live import Begin, read_live
from mnist_pipeline.runs.training_history import Epoch
from mnist_pipeline.training.saving import weights_digest


def test_the_saved_model_reaches_the_recorded_accuracy(small, digits_dataset):
    validation = Dataset.open(digits_dataset.directory).validation
    model = load_keras().models.load_model(small.run.model_keras, safe_mode=True)
    probabilities = model.predict(to_model_input(validation.images), verbose=0)
    assert probabilities.dtype == np.float32
    assert probabilities.shape == (287, 10)
    accuracy = (probabilities.argmax(axis=1) == validation.labels).mean()
    assert accuracy == pytest.approx(small.result.validation_accuracy, abs=1e-6)
    assert accuracy > 0.9


def test_nothing_of_the_training_is_left_in_the_saved_model(small):
    model = load_keras().models.load_model(small.run.model_keras, safe_mode=True)
    assert [type(layer).__name__ for layer in model.layers] == [
        *("Conv2D", "MaxPooling2D", "Conv2D", "MaxPooling2D", "Flatten", "Dense")
    ]
    assert not model.compiled


def test_the_result_tells_the_files_by_their_digests(small):
    assert sorted(small.result.files) == ["history.json", "model.keras"]
    assert small.result.verify() is small.result
    weights = load_keras().models.load_model(small.run.model_keras).get_weights()
    assert small.result.weights_sha256 == weights_digest(weights)
    assert small.result.parameters == sum(w.size for w in weights) == 5_994


def test_the_history_has_an_entry_for_each_epoch_and_each_batch(small):
    history = small.history
    assert [epoch.epoch for epoch in history.epochs] == [1, 2, 3, 4, 5]
    assert len(history.batches.loss) == len(history.batches.accuracy) == 5 * 18
    assert (history.train_rows, history.validation_rows) == (1_150, 287)
    assert history.config == small.config.model_dump(mode="json")
    assert history.stopped == "finished"
    assert history.seconds.fit == pytest.approx(sum(epoch.seconds for epoch in history.epochs))


def test_an_epochs_figures_are_the_means_over_its_rows(small):
    history = small.history
    rows = [64] * 17 + [62]
    for place, epoch in enumerate(history.epochs):
        mine = slice(18 * place, 18 * (place + 1))
        assert epoch.loss == pytest.approx(np.average(history.batches.loss[mine], weights=rows))
        right = np.multiply(history.batches.accuracy[mine], rows)
        assert right == pytest.approx(right.round(), abs=1e-4)
        assert epoch.accuracy == pytest.approx(right.sum() / 1_150)


def test_whoever_watched_saw_the_same_curve(small):
    lines, _ = read_live(small.run.live)
    assert Begin.model_validate(lines[0]["begin"]).layers == small.history.layers
    assert [Epoch.model_validate(line["epoch"]) for line in lines if "epoch" in line] == small.history.epochs
    points = [line for line in lines if "batch" in line]
    batches = [point["batch"] for point in points]
    assert batches == sorted(set(batches))
    assert batches[-1] <= 5 * 18
    start, losses = 0, small.history.batches.loss
    for point in points:
        # A point begins where the one before ended, or with its epoch; the last batches of an epoch may have no point.
        start = max(start, (point["batch"] - 1) // 18 * 18)
        assert point["loss"] == pytest.approx(np.mean(losses[start : point["batch"]]), rel=0.02)
        start = point["batch"]


def test_the_first_loss_is_that_of_a_guess_and_the_last_is_not(small):
    losses = small.history.batches.loss
    assert losses[0] == pytest.approx(np.log(10), abs=0.35)
    assert np.mean(losses[-18:]) < 0.5


def test_the_best_epoch_is_kept_and_named(small):
    epochs = small.history.epochs
    best = max(epochs, key=lambda epoch: (epoch.val_accuracy, -epoch.val_loss))
    assert small.history.best_epochs == small.result.best_epochs == [best.epoch]
    assert small.result.validation_accuracy == small.history.validation_accuracy == best.val_accuracy


def test_progress_names_epochs_batches_and_figures(small):
    last = [p for p in small.progress if "val_accuracy" in p.metrics]
    assert [p.activity for p in last] == [f"epoch {n}/5" for n in range(1, 6)]
    assert all((p.done, p.total, p.unit) == (18, 18, "batches") for p in last)
    assert [p.metrics["loss"] for p in last] == [epoch.loss for epoch in small.history.epochs]
    live = [p for p in small.progress if p not in last]
    assert live
    assert all(set(p.metrics) <= {"loss", "accuracy", "seconds_left"} and 0 < p.done <= 18 for p in live)


def test_a_seed_decides_the_weights_the_order_and_the_augmentation(train):
    changes = {"augmentation": {"rotation": 10, "shift": 2, "zoom": 0.1, "shear": 5}, "epochs": 1}
    first, again, other = train(**changes), train(**changes), train(**changes, seed=4)
    assert again.result.weights_sha256 == first.result.weights_sha256
    assert again.history.batches == first.history.batches
    assert other.history.batches.loss[0] != first.history.batches.loss[0]


def test_batches_are_counted_to_the_limit_with_validations_in_between(train):
    training = train(optimizer="sgd", learning_rate=0.1, max_batches=25, validate_every_batches=10)
    history = training.history
    assert len(history.batches.loss) == 25
    assert [epoch.epoch for epoch in history.epochs] == [1, 2]
    # Every ten batches of an epoch, and where it ends.
    assert [v.batch for v in history.validations] == [10, 18, 25]
    assert history.validations[1].accuracy == history.epochs[0].val_accuracy
    assert history.stopped == "max_batches"


def test_a_time_limit_ends_a_training_with_what_it_has(train):
    training = train(epochs=10_000, max_minutes=0.005)
    history = training.history
    assert history.stopped == "max_minutes"
    assert 1 <= len(history.epochs) < 100
    assert any("0.005 minutes" in note for note in history.notes)
    assert training.result.best_epochs[0] <= len(history.epochs)


def test_without_validation_rows_the_last_epoch_is_kept(train):
    training = train(validation_rows=0, epochs=2)
    assert training.result.validation_accuracy is None
    assert training.result.best_epochs == [2]
    assert training.history.epochs[0].val_loss is None
    assert any(note.startswith("no validation rows") for note in training.history.notes)


def test_fewer_rows_than_asked_are_noted(train):
    training = train(train_rows=2_000, validation_rows=200, epochs=1)
    assert "train_rows: 2000 asked, 1237 used: there are no more" in training.history.notes
    assert training.history.validation_rows == 200


def test_mixed_precision_saves_a_float32_model(train):
    training = train(precision="mixed_bfloat16", epochs=1)
    model = load_keras().models.load_model(training.run.model_keras)
    assert {layer.dtype_policy.name for layer in model.layers} == {"float32"}
    assert training.result.validation_accuracy > 0.5


def test_a_backend_that_is_not_installed_is_named(monkeypatch):
    from mnist_pipeline import keras_backend

    monkeypatch.setitem(__import__("sys").modules, "keras", None)
    with pytest.raises(MissingExtraError, match=r"mnist-pipeline\[train\]"):
        keras_backend._load.__wrapped__()
