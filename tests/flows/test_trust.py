"""What must never reach users does not: a model of wrong labels, a file that was changed."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnist_pipeline.data.dataset import Dataset
from tests.flows.conftest import SMALL

DESCRIPTION = """
name = "mislabelled"
title = "Digits whose train labels are wrong"
source = "."
class_names = ["Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine"]
image_size = [28, 28]
rows = {{ train = {train}, test = {test} }}
files = {{ images = "images.png", labels = "labels" }}
"""


@pytest.fixture
def workspace(finished, tmp_path) -> Path:
    return shutil.copytree(finished[0], tmp_path / "workspace")


def mislabelled(dataset: Path, folder: Path) -> Path:
    """400 train rows, every label moved on by one class, and the test rows as a sprite; its description."""
    test = len(Dataset.open(dataset).test)
    images, labels = (np.load(dataset / name)[-test - 400 :] for name in ("images.npy", "labels.npy"))
    labels[:-test] = (labels[:-test] + 1) % 10
    folder.mkdir()
    Image.fromarray(images.reshape(len(images), 784)).save(folder / "images.png")
    (folder / "labels").write_bytes(np.eye(10, dtype=np.uint8)[labels].tobytes())
    description = folder / "mislabelled.toml"
    description.write_text(DESCRIPTION.format(train=len(images) - test, test=test))
    return description


def test_a_model_of_wrong_labels_is_refused_with_the_reasons_and_the_champion_stays(
    prefect, finished, workspace, tmp_path
):
    description = mislabelled(next((workspace / "datasets").glob("digits-*")), tmp_path / "sprite")
    as_digits = ["--dataset", str(description), "--set", "publishing.model=digits"]
    refused = prefect.run("run-all", *SMALL[2:], *as_digits, "--workspace", str(workspace), code=3)
    assert refused["accuracy"] < 0.2
    reasons = " ".join(refused["reasons"])
    assert "below the floor of 90" in reasons
    assert "worse" in reasons
    assert refused["version"] != finished[1]["version"]
    champion = prefect.run("models", "show", "--name", "digits", "--workspace", str(workspace))
    assert champion["version"] == finished[1]["version"]


@pytest.mark.parametrize("name", ["model.onnx", "manifest.json", "evaluation.json", "report.html"])
def test_a_published_file_that_changed_is_named_and_not_scored_with(prefect, finished, workspace, tmp_path, name):
    changed = workspace / "models" / "digits" / finished[1]["version"] / name
    data = bytearray(changed.read_bytes())
    data[len(data) // 3] ^= 1
    changed.write_bytes(data)
    place = ["--workspace", str(workspace)]
    found = prefect.run("models", "verify", *place, code=1)
    assert name in str(found["findings"])
    (tmp_path / "images").mkdir()
    output = tmp_path / "rows.csv"
    refused = prefect.run("score", str(tmp_path / "images"), "--output", str(output), *place, code=1)
    assert name in refused["error"]
    assert not output.exists()
