"""What goes wrong while a model is trained, and what is left of it."""

import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from mnist_pipeline.config import TrainConfig
from mnist_pipeline.errors import DeviceError, TrainingError
from mnist_pipeline.runs.artifacts import Output
from mnist_pipeline.training.fit import train_model
from mnist_pipeline.workspace import RunDirectory
from tests.training.worker import start

NO_GPU = {"CUDA_VISIBLE_DEVICES": "-1"}
# A checkpoint has 100 kB.
SMALL_FILES = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))"
CONFIG = TrainConfig(preset="codelab-full", learning_rate=0.005, batch_size=64, epochs=2)


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    (tmp_path / "run").mkdir()
    return RunDirectory(tmp_path / "run")


def test_an_infinite_loss_stops_at_once_and_names_step_and_learning_rate(digits_dataset, run, tmp_path):
    # Decay by ten times the weights in each step turns them round and makes them nine times as large.
    config = CONFIG.model_copy(update={"learning_rate": 10.0, "weight_decay": 1.0, "epochs": 20})
    seen = []
    with pytest.raises(TrainingError, match=r"the loss became (nan|inf) in step \d+ at learning rate 10;") as caught:
        train_model(config, digits_dataset, run, tmp_path / "checkpoints", seen.append)
    step = int(str(caught.value).split(" in step ")[1].split()[0])
    assert 1 < step <= 20 * 18
    assert len([p for p in seen if "val_loss" in p.metrics]) == (step - 1) // 18
    assert [path.name for path in run.path.iterdir()] == ["live.jsonl"]


def test_shuffled_labels_teach_nothing_and_that_is_said(digits_dataset, run, tmp_path):
    folder = tmp_path / "shuffled"
    shutil.copytree(digits_dataset.directory, folder)
    np.save(folder / "labels.npy", np.random.default_rng(0).permutation(np.load(folder / "labels.npy")))
    shuffled = digits_dataset.model_copy(
        update={"directory": folder, "files": Output.digests(*(folder / name for name in digits_dataset.files))}
    )
    config = CONFIG.model_copy(update={"learning_rate": 0.001, "epochs": 1})
    with pytest.raises(TrainingError, match=r"nothing was learned: \d+ of 287 validation rows are right"):
        train_model(config, shuffled, run, tmp_path / "checkpoints")
    assert [path.name for path in run.path.iterdir()] == ["live.jsonl"]


def test_a_missing_gpu_is_an_error_before_any_work_where_one_was_asked_for(forks, digits_dataset, tmp_path):
    config = CONFIG.model_copy(update={"device": "gpu"})
    code, output, errors = start(forks, config, digits_dataset, tmp_path, environment=NO_GPU).end()
    assert code != 0
    assert errors.strip().splitlines()[-1].startswith("mnist_pipeline.errors.DeviceError: device gpu: ")
    assert output == ""
    assert not (tmp_path / "checkpoints").exists()


def test_a_missing_gpu_is_recorded_where_none_was_asked_for(forks, digits_dataset, tmp_path):
    config = CONFIG.model_copy(update={"epochs": 1})
    code, _, errors = start(forks, config, digits_dataset, tmp_path, environment=NO_GPU).end()
    assert (code, errors) == (0, "")
    assert json.loads((tmp_path / "run" / "history.json").read_text())["device"] == "cpu"


def test_a_device_without_memory_asks_for_smaller_batches(digits_dataset, run, tmp_path, monkeypatch):
    import tensorflow as tf

    from mnist_pipeline.training.network import Network

    def fit(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[64,24,24,8]")

    monkeypatch.setattr(Network, "fit", fit)
    with pytest.raises(DeviceError, match="too little memory for batches of 64; try --batch-size 32"):
        train_model(CONFIG, digits_dataset, run, tmp_path / "checkpoints")


def test_a_file_that_cannot_be_written_is_one_clear_line_and_nothing_half_written(forks, digits_dataset, tmp_path):
    code, _, errors = start(forks, CONFIG, digits_dataset, tmp_path, before=SMALL_FILES).end()
    assert code == 1
    assert "mnist_pipeline.errors.TrainingError: training cannot write (File too large" in errors
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["live.jsonl"]
    assert list((tmp_path / "checkpoints").iterdir()) == []


@pytest.mark.parametrize("after", ["part", "whole"])
def test_an_interrupted_training_ends_soon_and_goes_on_later(forks, digits_dataset, run, tmp_path, after):
    config = CONFIG.model_copy(update={"epochs": 4})
    child = start(forks, config, digits_dataset, tmp_path)
    wholes = 0
    for line in child.stdout:
        wholes += line.endswith("whole\n")
        if wholes and line.endswith(f"{after}\n"):
            child.send_signal(signal.SIGINT)
            break
    code, _, errors = child.end()
    assert code == -signal.SIGINT
    assert errors.strip().endswith("KeyboardInterrupt")
    assert [path.name for path in run.path.iterdir()] == ["live.jsonl"]
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["training.npz"]
    trained = train_model(config, digits_dataset, run, tmp_path / "checkpoints")
    assert trained.epochs == 4
    assert "went on after epoch" in run.history.read_text()
