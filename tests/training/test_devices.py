"""The device is found, tried and named before any work; libraries stay quiet, errors do not."""

import logging
import os

import pytest

from mnist_pipeline.errors import DeviceError
from mnist_pipeline.runs.live import LiveCurve
from mnist_pipeline.stderr import quiet_stderr
from mnist_pipeline.training import devices
from mnist_pipeline.training.progress import ProgressReporter


def test_the_cpu_needs_no_trying(monkeypatch):
    monkeypatch.setattr(devices, "load_keras", lambda: pytest.fail("Keras was loaded"))
    assert devices.require_device("cpu") == "cpu"


def test_auto_says_which_device_it_took_and_why(monkeypatch, caplog):
    monkeypatch.setattr(devices, "_gpu_problem", lambda: "tensorflow finds no GPU")
    with caplog.at_level(logging.INFO, logger="mnist_pipeline"):
        assert devices.require_device("auto") == "cpu"
    assert "training on the CPU: tensorflow finds no GPU" in caplog.text
    monkeypatch.setattr(devices, "_gpu_problem", lambda: None)
    with caplog.at_level(logging.INFO, logger="mnist_pipeline"):
        assert devices.require_device("auto") == "gpu"
    assert "training on the GPU" in caplog.text


def test_a_gpu_that_computes_nonsense_is_not_used(monkeypatch):
    import keras
    import numpy as np

    monkeypatch.setattr(devices, "_gpus", lambda _: ["gpu"])
    monkeypatch.setattr(keras, "device", lambda _: quiet_stderr())
    assert devices.require_device("gpu") == "gpu"  # the computation itself, on the CPU, is right
    monkeypatch.setattr(keras.ops, "matmul", lambda a, b: np.asarray(a) * 3)
    with pytest.raises(DeviceError, match="computes nonsense"):
        devices.require_device("gpu")


def test_chatter_is_held_back_and_everything_else_is_passed_on(capfd):
    with quiet_stderr():
        os.write(2, b"I0000 00:00:1795 1 cudart_stub.cc:31] Could not find cuda drivers\n")
        os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n")
        os.write(2, b"ImportError: libfoo.so is missing\n")
    assert capfd.readouterr().err == "ImportError: libfoo.so is missing\n"
    os.write(2, b"I0000 said by somebody else\n")
    assert capfd.readouterr().err == "I0000 said by somebody else\n"


def test_progress_is_throttled_and_tells_what_is_left(monkeypatch):
    from mnist_pipeline.config import TrainConfig
    from mnist_pipeline.training import progress
    from mnist_pipeline.training.batching import Batching

    now = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    seen = []
    batching = Batching.of(TrainConfig(batch_size=10, epochs=2), 100, seed=0)
    reporter = ProgressReporter(seen.append, batching, 1, 1, LiveCurve(None))
    for trained in range(1, 15):
        reporter.batches(0, trained, {"loss": 1.0, "accuracy": 0.5})
        now += 0.0625
    assert [(p.activity, p.done, p.total) for p in seen] == [
        *[("epoch 1/2", done, 10) for done in (1, 3, 5, 7, 9)],
        *[("epoch 2/2", done, 10) for done in (1, 3)],
    ]
    assert "seconds_left" not in seen[0].metrics
    assert seen[-1].metrics["seconds_left"] == pytest.approx(7 * 0.0625)
