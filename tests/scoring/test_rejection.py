"""Images that are no digit: what the model's own limits make of them, from the file to the row."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from mnist_pipeline.data.dataset import Dataset
from mnist_pipeline.imaging.readings import read_flat
from mnist_pipeline.inference import AnswerLimits
from mnist_pipeline.rejection.answers import ConfidenceThreshold
from mnist_pipeline.rejection.model import ScoringModel
from mnist_pipeline.scoring.config import ScoreConfig
from mnist_pipeline.scoring.job import ScoringJob
from mnist_pipeline.scoring.score import score_job
from mnist_pipeline.scoring.sources.reading import Location
from mnist_pipeline.scoring.summary import ScoreSummary
from tests.support import linear_models

LETTERS = "AEFHKMNPRTUVWXdhknuvwxy"
LIMITS = AnswerLimits(confidence=0.1, novelty=1.0, sure=0.6, turned_away=0.02, rows=287)


@pytest.fixture(scope="module")
def model(digits_dataset, tmp_path_factory) -> ScoringModel:
    """As a registry hands it out: its novelty is the brightness of the corner pixel (`linear_models`)."""
    data = Dataset.open(digits_dataset.directory)
    weights = linear_models.fit(data.train.images, data.train.labels, 60)
    folder = tmp_path_factory.mktemp("runs") / "one"
    run, exported = linear_models.export(weights, digits_dataset, folder, limits=LIMITS)
    threshold = ConfidenceThreshold(value=LIMITS.confidence, novelty=LIMITS.novelty, source="the model's own")
    return ScoringModel(run.model_onnx, exported.sha256, "digits 1", threshold)


def letter(text: str) -> Image.Image:
    image = Image.new("L", (160, 160), 255)
    font = ImageFont.load_default(110)
    ImageDraw.Draw(image).text((80, 80), text, fill=0, font=font, anchor="mm", stroke_width=2)
    return image


def score(folder: Path, model: ScoringModel, **config: object) -> tuple[ScoreSummary, dict[str, dict[str, str]]]:
    values = {"workers": 1, "overwrite": True, "probabilities": True} | config
    output = folder.with_name("out.csv")
    location = Location(kind="folder", root=str(folder))
    summary = score_job(ScoringJob.of(ScoreConfig.model_validate(values), location, model, output))
    with output.open(newline="", encoding="utf-8") as file:
        return summary, {row["path"]: row for row in csv.DictReader(file)}


@pytest.fixture
def images(tmp_path, digits) -> Path:
    """40 digits in MNIST's form, and the same with a bright corner pixel."""
    folder = tmp_path / "images"
    folder.mkdir()
    for row in range(40):
        image = digits.images[row].copy()
        Image.fromarray(image).save(folder / f"plain-{row:02d}.png")
        image[0, 0] = 250
        Image.fromarray(image).save(folder / f"corner-{row:02d}.png")
    return folder


def test_a_strange_image_is_no_digit_unless_it_is_in_mnists_form_and_surely_answered(model, images):
    summary, rows = score(images, model, preprocess="none")
    plain = [row for path, row in rows.items() if path.startswith("plain")]
    corner = [row for path, row in rows.items() if path.startswith("corner")]
    assert {row["status"] for row in plain} == {"ok"}
    assert {row["status"] for row in corner} == {"ok", "no_digit"}
    for row in corner:
        assert (row["status"] == "ok") == (float(row["confidence"]) >= LIMITS.sure)
        assert row["digit"]  # what it would have been is said all the same
    assert summary.no_digit_reasons == {"unlike": sum(row["status"] == "no_digit" for row in corner)}
    assert summary.threshold.novelty == LIMITS.novelty


def test_the_option_replaces_the_whole_rule(model, images):
    summary, rows = score(images, model, min_confidence=0, preprocess="none")
    assert {row["status"] for row in rows.values()} == {"ok"}
    assert summary.threshold.novelty is None


def test_the_same_pixels_are_judged_alike_in_every_format(model, images, digits):
    for path in sorted(images.iterdir()):
        Image.open(path).save(path.with_suffix(".bmp"))
    for text in LETTERS:
        for kind in ("png", "bmp"):
            Image.fromarray(read_flat(np.asarray(letter(text))).image).save(images / f"letter-{text}.{kind}")
    _, rows = score(images, model)
    for name in {path.rpartition(".")[0] for path in rows}:
        png, bmp = (rows[f"{name}.{kind}"] | {"path": ""} for kind in ("png", "bmp"))
        assert png == bmp, name
