import csv
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mnist_pipeline.errors import IntegrityError, UsageError
from mnist_pipeline.inference import Classifier
from mnist_pipeline.progress import Progress
from mnist_pipeline.scoring.config import ScoreConfig
from mnist_pipeline.scoring.score import score_folder


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_images_in_the_sprites_form_get_exactly_the_models_answers(model, digits, make_folder, tmp_path):
    folder = make_folder(300)
    output = tmp_path / "out.csv"
    summary = score_folder(ScoreConfig(min_confidence=0, workers=2), folder, output, model.path, model.sha256)
    rows = read_csv(output)
    expected = Classifier.load(model.path, device="cpu", threads=1).probabilities(digits.images[:300])
    paths = [f"{digits.labels[number]}/{number:05d}.png" for number in range(300)]
    order = sorted(range(300), key=lambda number: paths[number])
    assert [row["path"] for row in rows] == [paths[number] for number in order]
    assert {row["status"] for row in rows} == {"ok"}
    assert [int(row["digit"]) for row in rows] == expected.argmax(axis=1)[order].tolist()
    np.testing.assert_allclose([float(row["confidence"]) for row in rows], expected.max(axis=1)[order], atol=1e-6)
    assert (summary.images, summary.ok, summary.errors) == (300, 300, 0)
    assert sum(summary.digits.values()) == 300
    assert json.loads((tmp_path / "out.csv.manifest.json").read_text()) == summary.model_dump(mode="json")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "out.csv", "out.csv.manifest.json"]


def test_all_formats_hold_the_same_rows(model, make_folder, tmp_path):
    folder = make_folder(40)
    (folder / "0" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "notes.txt").write_text("not an image")
    Image.new("L", (40, 30), 200).save(folder / "page.png")
    config = ScoreConfig(probabilities=True, workers=1)
    for name in ("out.csv", "out.jsonl", "out.parquet"):
        score_folder(config, folder, tmp_path / name, model.path, model.sha256)
    from_csv = read_csv(tmp_path / "out.csv")
    from_json = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    from_parquet = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert len(from_csv) == len(from_json) == len(from_parquet) == 43
    for text, value, column in zip(from_csv, from_json, from_parquet, strict=True):
        assert text["path"] == value["path"] == column["path"]
        assert text["status"] == value["status"] == column["status"]
        assert text["error"] == (value["error"] or "") == (column["error"] or "")
        assert text["reason"] == (value["reason"] or "") == (column["reason"] or "")
        assert (value["status"] == "ok") == (value["reason"] is None)
        if value["reason"] == "blank" or value["status"] == "error":
            assert text["digit"] == text["p3"] == ""
            assert value["digit"] is value["p3"] is column["digit"] is None
        else:
            assert int(text["digit"]) == value["digit"] == column["digit"]
            assert sum(value[f"p{digit}"] for digit in range(10)) == pytest.approx(1, abs=1e-5)
            assert column["p3"] == pytest.approx(value["p3"], abs=1e-6)
    reasons = {value["path"]: value["reason"] for value in from_json if value["reason"] not in {None, "confidence"}}
    assert reasons == {"0/broken.png": "corrupt", "notes.txt": "not an image", "page.png": "blank"}
    assert {value["path"] for value in from_json if value["error"]} == {"0/broken.png", "notes.txt"}


def test_an_existing_output_is_kept_unless_told_otherwise(model, make_folder, tmp_path):
    folder = make_folder(3)
    output = tmp_path / "out.csv"
    output.write_text("mine")
    with pytest.raises(UsageError, match="--overwrite"):
        score_folder(ScoreConfig(), folder, output, model.path, model.sha256)
    assert output.read_text() == "mine"
    score_folder(ScoreConfig(overwrite=True), folder, output, model.path, model.sha256)
    assert len(read_csv(output)) == 3


def test_another_model_than_announced_is_refused(model, make_folder, tmp_path):
    with pytest.raises(IntegrityError, match="SHA-256"):
        score_folder(ScoreConfig(), make_folder(3), tmp_path / "out.csv", model.path, "0" * 64)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images"]


def test_progress_reaches_the_number_of_images(model, make_folder, tmp_path):
    told: list[Progress] = []
    score_folder(ScoreConfig(), make_folder(20), tmp_path / "out.csv", model.path, model.sha256, told.append)
    assert told[0].activity == "list images"
    assert (told[-1].activity, told[-1].done, told[-1].total, told[-1].unit) == ("score", 20, 20, "images")


def test_a_few_large_images_are_shared_by_all_workers(make_folder, model, tmp_path):
    folder = make_folder(1)
    for number in range(12):
        Image.fromarray(np.full((1_200, 1_200), number, np.uint8)).save(folder / f"{number}.bmp")
    config = ScoreConfig(min_confidence=0, workers=2)
    assert score_folder(config, folder, tmp_path / "out.csv", model.path, model.sha256).workers == 2
