"""The command gives the images of a dataset's test rows the very answers that `evaluate` measured."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mnist_pipeline.config import EvaluateConfig, FetchConfig
from mnist_pipeline.data.dataset import Dataset
from mnist_pipeline.data.fetch import fetch_dataset
from mnist_pipeline.evaluation.evaluate import evaluate_model
from mnist_pipeline.runs.artifacts import FetchedDataset
from mnist_pipeline.workspace import Workspace
from tests.support import linear_models

SOURCE = os.environ.get("MNIST_PIPELINE_SOURCE")
ROUNDING = 1e-6
"""`Classifier.probabilities` promises it, however the images are cut into batches."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> FetchedDataset:
    """The real sprite where there is a copy, else the digits."""
    config = FetchConfig(dataset="mnist" if SOURCE else "digits", source=SOURCE)
    return fetch_dataset(config, Workspace(tmp_path_factory.mktemp("exactness")))


def test_every_test_image_as_a_file_gets_the_answer_that_was_evaluated(dataset: FetchedDataset, tmp_path: Path):
    data = Dataset.open(dataset.directory, train_rows=1_150)
    weights = linear_models.fit(np.asarray(data.train.images), np.asarray(data.train.labels), 30)
    run, exported = linear_models.export(weights, dataset, tmp_path / "run")
    evaluate_model(EvaluateConfig(device="cpu"), dataset, exported, run)
    expected = np.load(run.predictions)
    images = tmp_path / "images"
    images.mkdir()
    for row, image in enumerate(data.test.images):
        Image.fromarray(image).save(images / f"{row:05d}.png", compress_level=1)

    output = tmp_path / "rows.parquet"
    arguments = ["score", images, "--output", output, "--model", run.model_onnx, "--probabilities"]
    command = [sys.executable, "-m", "mnist_pipeline", *map(str, arguments), "--min-confidence", "0", "-q"]
    subprocess.run(command, check=True)

    rows = pq.read_table(output)
    assert rows["path"].to_pylist() == [f"{row:05d}.png" for row in range(len(expected))]
    assert set(rows["status"].to_pylist()) == {"ok"}
    assert (rows["digit"].to_numpy() == expected.argmax(axis=1)).all()
    found = np.stack([rows[f"p{digit}"].to_numpy() for digit in range(10)], axis=1)
    assert np.abs(found - expected).max() <= ROUNDING
    assert (rows["confidence"].to_numpy() == found.max(axis=1)).all()
    assert len(expected) == (10_000 if SOURCE else 360)
