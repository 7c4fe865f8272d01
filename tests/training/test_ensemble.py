"""Several members in one model."""

import numpy as np
import pytest

from mnist_pipeline.data.dataset import Dataset, to_model_input
from mnist_pipeline.keras_backend import load_keras
from mnist_pipeline.training.saving import average


@pytest.fixture(scope="module")
def ensemble(train):
    return train(architecture="compact", members=2, epochs=2, train_rows=500, batch_size=16, learning_rate=0.002)


def test_the_saved_model_says_the_mean_of_its_members(ensemble, digits_dataset):
    images = to_model_input(Dataset.open(digits_dataset.directory).validation.images)
    model = load_keras().models.load_model(ensemble.run.model_keras, safe_mode=True)
    members = [layer for layer in model.layers if layer.name.startswith("member_")]
    apart = [member.predict(images, verbose=0) for member in members]
    assert len(apart) == 2
    assert np.abs(apart[0] - apart[1]).max() > 0.01
    assert model.predict(images, verbose=0) == pytest.approx(np.mean(apart, axis=0), abs=1e-6)


def test_the_recorded_accuracy_is_that_of_the_saved_model(ensemble, digits_dataset):
    validation = Dataset.open(digits_dataset.directory).validation
    model = load_keras().models.load_model(ensemble.run.model_keras)
    right = model.predict(to_model_input(validation.images), verbose=0).argmax(axis=1) == validation.labels
    assert ensemble.result.validation_accuracy == ensemble.history.validation_accuracy == pytest.approx(right.mean())
    assert right.mean() > 0.7


def test_the_history_tells_whose_epoch_it_was(ensemble):
    assert [(e.epoch, e.member) for e in ensemble.history.epochs] == [(1, 1), (2, 1), (3, 2), (4, 2)]
    assert len(ensemble.history.batches.loss) == 4 * 32
    activities = [p.activity for p in ensemble.progress if "val_loss" in p.metrics]
    assert activities == [f"member {m}/2, epoch {e}/2" for m in (1, 2) for e in (1, 2)]
    assert [p.overall for p in ensemble.progress if "val_loss" in p.metrics] == [0.25, 0.5, 0.75, 1]


def test_each_member_keeps_its_own_best_epoch(ensemble):
    epochs = ensemble.history.epochs
    assert ensemble.history.best_epochs == ensemble.result.best_epochs
    for member, epoch in enumerate(ensemble.history.best_epochs, start=1):
        assert epochs[epoch - 1].member == member
        assert epochs[epoch - 1].val_accuracy == max(e.val_accuracy for e in epochs if e.member == member)


def test_the_first_member_is_the_network_that_is_trained_alone(ensemble, train):
    alone = train(architecture="compact", epochs=2, train_rows=500, batch_size=16, learning_rate=0.002)
    model, network = (load_keras().models.load_model(one.run.model_keras) for one in (ensemble, alone))
    pairs = zip(model.get_layer("member_1").get_weights(), network.get_weights(), strict=True)
    assert all(np.array_equal(first, single) for first, single in pairs)


def test_the_summary_names_the_layers_of_each_member(ensemble):
    layers = ensemble.history.layers
    assert ensemble.history.parameters == sum(layer.parameters for layer in layers) == 2 * 141_770
    names = [layer.name for layer in layers]
    assert {"member_1/conv2d_1", "member_2/conv2d_1"} < set(names)
    assert len(set(names)) == len(names)
    assert layers[-1].kind == "Average"


def test_an_average_of_one_network_twice_is_that_network(small):
    networks = [load_keras().models.load_model(small.run.model_keras) for _ in range(2)]
    images = np.random.default_rng(1).random((5, 28, 28, 1), np.float32)
    expected = networks[0].predict(images, verbose=0)
    assert average(networks).predict(images, verbose=0) == pytest.approx(expected, abs=1e-7)


def test_views_are_the_image_and_its_four_neighbours_each_asked_and_averaged(small):
    network = load_keras().models.load_model(small.run.model_keras)
    images = np.random.default_rng(1).random((5, 28, 28, 1), np.float32)
    framed = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    views = [framed[:, 1 - d : 29 - d, 1 - r : 29 - r] for d, r in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))]
    apart = [network.predict(view, verbose=0) for view in views]
    assert np.abs(apart[1] - apart[0]).max() > 0.01
    assert average([network], views=5).predict(images, verbose=0) == pytest.approx(np.mean(apart, axis=0), abs=1e-6)


def test_the_saved_model_looks_as_often_as_asked_and_that_is_what_is_measured(train, small, digits_dataset):
    looked = train(views=5)
    assert looked.result.weights_sha256 == small.result.weights_sha256  # the training is the same
    assert looked.result.parameters == small.result.parameters
    validation = Dataset.open(digits_dataset.directory).validation
    images = to_model_input(validation.images)
    saved, once = (
        load_keras().models.load_model(one.run.model_keras).predict(images, verbose=0) for one in (looked, small)
    )
    assert np.abs(saved - once).max() > 0.01
    assert looked.result.validation_accuracy == pytest.approx((saved.argmax(axis=1) == validation.labels).mean())
