"""Which model is meant: what is none says what it is, and what is taken instead."""

from pathlib import Path

import numpy as np
import pytest

from mnist_pipeline.errors import IntegrityError, RegistryError, UsageError
from mnist_pipeline.inference import AnswerLimits
from mnist_pipeline.registry.lookup import find_scoring_model
from tests.support import linear_models, samples

TAKES = "--model takes champion, an alias, a version, the beginning of one, or FILE.onnx"


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.keras").touch()
    (tmp_path / "weights.bin").touch()
    (tmp_path / "run").mkdir()
    (tmp_path / "run.onnx").mkdir()
    return tmp_path


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize(
    ("named", "what"),
    [
        ("model.keras", "is a Keras model, from which 'mnist-pipeline export' makes model.onnx"),
        ("gone.keras", "there is no such file"),
        ("weights.bin", "is no .onnx file"),
        ("run", "is a folder"),
        ("run.onnx", "is a folder"),
        ("gone.onnx", "there is no such file"),
        ("gone/model", "there is no such file"),
        ("", "is a folder"),
    ],
)
def test_what_is_no_model_is_named_in_one_line(folder, publish, named, what, published):
    if published:
        publish(1)
    with pytest.raises(UsageError) as caught:
        find_scoring_model(named, None, folder, None)
    assert str(caught.value) == f"--model {named}: {what}; {TAKES}"


def test_names_in_the_registry_come_before_folders_of_the_same_name(folder, publish, registry):
    published = publish(1)
    registry.promote("mnist", published.version, reason="first")
    (folder / "champion").mkdir()
    assert find_scoring_model("champion", None, folder, None).version == f"mnist {published.version}"


def test_a_version_that_is_not_there_is_no_file(folder, publish):
    publish(1)
    with pytest.raises(RegistryError):
        find_scoring_model("0123456789ab", None, folder, None)


def test_a_file_is_taken_whatever_the_case_of_its_ending(folder):
    (folder / "MODEL.ONNX").write_bytes(samples.model_bytes(1))
    assert find_scoring_model("MODEL.ONNX", None, folder, None).path == Path("MODEL.ONNX")


def test_a_bare_file_brings_the_limits_that_it_states(folder, digits_dataset):
    limits = AnswerLimits(confidence=0.4, novelty=1.5, sure=0.99, turned_away=0.004, rows=287)
    weights = np.zeros((784, 10), np.float32)
    run, exported = linear_models.export(weights, digits_dataset, folder / "one", limits=limits)
    found = find_scoring_model(str(run.model_onnx), None, folder, None)
    assert (found.sha256, found.version) == (exported.sha256, None)
    assert found.threshold is not None
    assert (found.threshold.value, found.threshold.novelty, found.threshold.false_reject_rate) == (0.4, 1.5, 0.004)
    assert found.threshold.source == "the model's own, chosen on 287 validation rows"


def test_a_file_that_is_no_model_is_refused_before_any_work(folder):
    (folder / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(IntegrityError, match=r"broken\.onnx: the model file"):
        find_scoring_model("broken.onnx", None, folder, None)
