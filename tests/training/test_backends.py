"""The same training under another Keras backend, on several devices, and quietly."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mnist_pipeline.data.dataset import Dataset, to_model_input
from mnist_pipeline.errors import UsageError
from mnist_pipeline.keras_backend import load_keras
from tests.training.worker import start

JAX = """
import sys, numpy as np
sys.modules["tensorflow"] = None  # it is not needed
from pathlib import Path
from mnist_pipeline.config import TrainConfig
from mnist_pipeline.errors import TrainingError
from mnist_pipeline.runs.artifacts import FetchedDataset
from mnist_pipeline.keras_backend import load_keras
from mnist_pipeline.training.fit import train_model
from mnist_pipeline.workspace import RunDirectory

folder = Path(sys.argv[1])
model, *configs, dataset = sys.argv[2:]
good, bad = map(TrainConfig.model_validate_json, configs)
dataset = FetchedDataset.model_validate_json(dataset)
keras = load_keras()
assert keras.backend.backend() == "jax"
answers = keras.models.load_model(model)(np.load(folder / "images.npy"))
np.save(folder / "answers.npy", keras.ops.convert_to_numpy(answers))
train_model(good, dataset, RunDirectory(folder / "good"), folder / "checkpoints")
try:
    train_model(bad, dataset, RunDirectory(folder / "bad"), folder / "checkpoints-bad")
except TrainingError as error:
    (folder / "error").write_text(str(error))
"""
needs_jax = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="jax is not installed (pip install jax): its backend is not tested"
)


@pytest.fixture(scope="module")
def jax(small, digits_dataset, tmp_path_factory) -> Path:
    """What one process under JAX said of the small model's images, and what it trained: once well, once too fast."""
    folder = tmp_path_factory.mktemp("jax")
    np.save(folder / "images.npy", to_model_input(Dataset.open(digits_dataset.directory).validation.images))
    augmentation = small.config.augmentation.model_copy(update={"shift": 1, "elastic": 0.3, "noise": 0.1})
    good = {"augmentation": augmentation, "average_batches": 20, "optimizer": "muon", "epochs": 2, "train_rows": 1_088}
    bad = {"learning_rate": 10.0, "weight_decay": 1.0, "epochs": 20, "train_rows": 640}
    configs = [small.config.model_copy(update=changes).model_dump_json() for changes in (good, bad)]
    for name in ("good", "bad"):
        (folder / name).mkdir()
    command = [sys.executable, "-c", JAX, folder, small.run.model_keras, *configs, digits_dataset.model_dump_json()]
    # XLA takes longer to optimise this code than to run it as it is.
    environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    done = subprocess.run(
        list(map(str, command)), env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    return folder


@needs_jax
def test_jax_and_tensorflow_say_the_same_on_the_same_weights(jax, small):
    expected = load_keras().models.load_model(small.run.model_keras).predict(np.load(jax / "images.npy"), verbose=0)
    assert np.load(jax / "answers.npy") == pytest.approx(expected, abs=1e-5)


@needs_jax
def test_jax_trains_what_tensorflow_loads(jax, digits_dataset):
    history = json.loads((jax / "good" / "history.json").read_text())
    assert history["epochs"][-1]["val_accuracy"] > 0.85
    assert len(history["batches"]["loss"]) == 2 * 17
    validation = Dataset.open(digits_dataset.directory).validation
    model = load_keras().models.load_model(jax / "good" / "model.keras")
    right = model.predict(to_model_input(validation.images), verbose=0).argmax(axis=1) == validation.labels
    assert right.mean() == pytest.approx(max(epoch["val_accuracy"] for epoch in history["epochs"]), abs=1 / 287)


@needs_jax
def test_jax_stops_at_an_infinite_loss_and_names_step_and_learning_rate(jax):
    said = (jax / "error").read_text()
    assert re.match(r"the loss became (nan|inf) in step \d+ at learning rate 10; lower", said), said


TWO_DEVICES = """
import tensorflow as tf
[cpu] = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
"""


def test_two_devices_train_what_one_trains(forks, small, digits_dataset, tmp_path):
    config = small.config.model_copy(update={"strategy": "mirrored", "device": "cpu", "epochs": 2})
    code, _, errors = start(forks, config, digits_dataset, tmp_path, before=TWO_DEVICES).end()
    assert code == 0, errors[-3_000:]
    mirrored = json.loads((tmp_path / "run" / "history.json").read_text())
    one = small.history
    assert len(mirrored["batches"]["loss"]) == 2 * 18
    # Each step is the same mean over the same 64 rows, in another order of addition.
    assert mirrored["batches"]["loss"][:18] == pytest.approx(one.batches.loss[:18], abs=1e-3)
    assert mirrored["batches"]["accuracy"][:10] == pytest.approx(one.batches.accuracy[:10], abs=0.02)
    for epoch in range(2):
        assert mirrored["epochs"][epoch]["val_loss"] == pytest.approx(one.epochs[epoch].val_loss, rel=0.02)
        assert mirrored["epochs"][epoch]["val_accuracy"] == pytest.approx(one.epochs[epoch].val_accuracy, abs=0.02)


def test_mirroring_needs_tensorflow(monkeypatch):
    from mnist_pipeline.training import devices

    monkeypatch.setattr(load_keras().backend, "backend", lambda: "jax")
    with (
        pytest.raises(UsageError, match="needs KERAS_BACKEND=tensorflow, found jax"),
        devices.training_scope("cpu", "mirrored"),
    ):
        pytest.fail("entered")


def test_a_training_says_nothing_on_the_terminal_and_imports_nothing_that_it_does_not_use(
    forks, small, digits_dataset, tmp_path
):
    config = small.config.model_copy(update={"epochs": 1})
    unused = "import sys; print(sorted({'jax', 'matplotlib', 'sklearn'} & sys.modules.keys()))"
    code, output, errors = start(forks, config, digits_dataset, tmp_path, after=unused).end()
    assert (code, errors, forks.errors.read_text()) == (0, "", "")
    *_, finished, imported = output.splitlines()
    assert finished.startswith("finished ")
    assert imported == "[]"


def test_what_is_not_used_can_be_imported_after_keras(forks):
    """In a process of its own, where nothing has imported it before."""
    found = """
import matplotlib.pyplot, numpy as np, sys
from mnist_pipeline.keras_backend import load_keras
keras = load_keras()
assert "sklearn" not in sys.modules
model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
found = keras.wrappers.SKLearnRegressor(model, fit_kwargs={"verbose": 0}).fit(np.ones((4, 2)), np.ones(4))
print(found.predict(np.ones((3, 2))).shape, "sklearn" in sys.modules)
"""
    code, output, errors = forks.start(found).end()
    assert code == 0, errors[-3_000:]
    assert output.splitlines()[-1] == "(3,) True"
