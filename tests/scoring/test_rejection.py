"""Images that are no digit: what the model's own rule makes of them, from the file to the row."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from mnist_pipeline.config import EvaluateConfig, ScoreConfig
from mnist_pipeline.data.dataset import Dataset
from mnist_pipeline.errors import IntegrityError
from mnist_pipeline.evaluation.evaluate import evaluate_model
from mnist_pipeline.evaluation.schema import Evaluation
from mnist_pipeline.imaging.normalising import has_sprite_form, normalise
from mnist_pipeline.rejection.answers import ConfidenceThreshold
from mnist_pipeline.rejection.model import ScoringModel
from mnist_pipeline.scoring.records import Location, ScoreSummary
from mnist_pipeline.scoring.score import score_images

LETTERS = "AEFHKMNPRTUVWXdhknuvwxy"
"""None is written like a digit."""


@pytest.fixture(scope="module")
def evaluated(digits_dataset, linear_models, tmp_path_factory) -> ScoringModel:
    """A model as a registry hands it out: with the rule that its evaluation chose."""
    data = Dataset.open(digits_dataset.directory)
    weights = linear_models.fit(data.train.images, data.train.labels, 60)
    run, exported = linear_models.export(weights, digits_dataset, tmp_path_factory.mktemp("runs") / "one")
    evaluate_model(EvaluateConfig(device="cpu", false_reject_rate=0.02), digits_dataset, exported, run)
    found = Evaluation.model_validate_json(run.evaluation_json.read_bytes()).rejection
    assert found is not None
    assert found.novelty is not None
    threshold = ConfidenceThreshold(value=found.threshold, strangeness=found.novelty.threshold, source="evaluation")
    return ScoringModel(run.model_onnx, exported.sha256, "digits 1", threshold, run.evaluation_json)


def letter(text: str) -> Image.Image:
    image = Image.new("L", (160, 160), 255)
    font = ImageFont.load_default(110)
    ImageDraw.Draw(image).text((80, 80), text, fill=0, font=font, anchor="mm", stroke_width=2)
    return image


def score(folder: Path, model: ScoringModel, **config: object) -> tuple[ScoreSummary, dict[str, dict[str, str]]]:
    values = {"workers": 1, "overwrite": True, "probabilities": True} | config
    output = folder.with_name("out.csv")
    location = Location(kind="folder", root=str(folder))
    summary = score_images(ScoreConfig.model_validate(values), location, None, output, model)
    with output.open(newline="", encoding="utf-8") as file:
        return summary, {row["path"]: row for row in csv.DictReader(file)}


@pytest.fixture
def letters(tmp_path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for number, text in enumerate(LETTERS):
        letter(text).save(folder / f"{number:02d}.png")
    return folder


def test_most_letters_are_no_digit_and_digits_stay_digits(evaluated, letters, digits):
    for row in range(200):
        Image.fromarray(digits.images[row]).resize((112, 112)).save(letters / f"digit-{row:03d}.png")
    summary, rows = score(letters, evaluated)
    of_letters = [row for path, row in rows.items() if not path.startswith("digit")]
    of_digits = [row for path, row in rows.items() if path.startswith("digit")]
    assert sum(row["status"] == "no_digit" for row in of_letters) > 0.7 * len(LETTERS)
    assert sum(row["status"] == "no_digit" for row in of_digits) < 0.1 * len(of_digits)
    assert summary.no_digit_reasons["unlike"] > 0.5 * len(LETTERS)
    assert summary.threshold.strangeness == evaluated.threshold.strangeness
    assert all(row["digit"] for row in rows.values())  # what it would have been is said all the same


def test_the_option_replaces_the_whole_rule(evaluated, letters):
    summary, rows = score(letters, evaluated, min_confidence=0)
    assert {row["status"] for row in rows.values()} == {"ok"}
    assert summary.threshold.strangeness is None


def test_the_fast_path_and_the_general_path_judge_alike(evaluated, tmp_path, digits):
    folder = tmp_path / "images"
    folder.mkdir()
    images = {f"digit-{row:03d}": digits.images[row] for row in range(60)}
    images |= {f"letter-{text}": normalise(np.asarray(letter(text))).image for text in LETTERS}
    for name, image in images.items():
        Image.fromarray(image).save(folder / f"{name}.png")  # fast where it is in the sprite's form
        Image.fromarray(image).save(folder / f"{name}.bmp")  # never fast
    _, rows = score(folder, evaluated)
    for name in images:
        fast, general = (rows[f"{name}.{kind}"] | {"path": ""} for kind in ("png", "bmp"))
        assert fast == general, name
    in_form = has_sprite_form(np.stack([images[f"letter-{text}"] for text in LETTERS]))
    assert in_form.mean() > 0.5  # both kinds of letters are there, and most kinds are found
    assert sum(rows[f"letter-{text}.png"]["status"] == "no_digit" for text in LETTERS) > 0.5 * len(LETTERS)


def test_another_rule_than_announced_is_refused(evaluated, letters, monkeypatch):
    monkeypatch.setattr("mnist_pipeline.scoring.job.sha256_file", lambda _: "0" * 64)
    with pytest.raises(IntegrityError, match=r"evaluation\.json has SHA-256"):
        score(letters, evaluated)
