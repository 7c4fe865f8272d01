"""What labelling gains, measured small: people are kept apart, and what is picked is answered on the real page."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import own_images
from mnist_pipeline.labels.store import open_labels
from mnist_pipeline.training import novelty
from tests.support.browser import CHROMEDRIVER, CHROMIUM
from tests.support.handwriting import SCRIBBLE, written

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.skipif(not (CHROMIUM and CHROMEDRIVER), reason="needs chromium and chromedriver"),
]
PEOPLE = ("anna", "ben", "carl", "dora")


@pytest.fixture
def own(tmp_path) -> Path:
    """Of each of four people ten digits and a scribble, as ink on paper."""
    for person in PEOPLE:
        random = np.random.default_rng(PEOPLE.index(person))
        for number in range(11):
            label = str(number) if number < 10 else "none"
            strokes = written(number, random, size=70, at=(50, 50)) if number < 10 else np.array([SCRIBBLE]) * 100
            page = np.full((100, 100), 230, np.uint8)
            cv2.polylines(page, [np.rint(stroke).astype(np.int32) for stroke in strokes], False, 40, 5, cv2.LINE_AA)
            page[0, random.integers(100)] = number  # no two scribbles are one file
            (tmp_path / "own" / label).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / "own" / label / f"{person}-{number}.png"), page)
    return tmp_path / "own"


def test_what_the_review_picks_and_as_many_at_random_are_labelled_and_trained_on(own, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(novelty, "MOST_ROWS", 100)
    monkeypatch.setattr(novelty, "EPOCHS", 1)
    words = ["--dataset", "digits", "--preset", "mnist-dense", "--images", "8", "--seeds", "1", "--folder"]
    own_images.main([str(own), *words, str(tmp_path / "results")])
    found = json.loads(capsys.readouterr().out)
    [line] = found["seeds"]
    assert (found["pictures"], line["pool"], line["before"]["samples"]) == (44, 22, 22)
    for name in ("review", "random"):
        catalogue = open_labels(tmp_path / "results" / "labels-0" / name).catalogue()
        assert len(catalogue.images) == 8
        assert line[name]["own_test"] == len(catalogue.settled("own-test"))
        assert line[name]["fitted"] <= len(catalogue.settled("train"))
        assert line[name]["samples"] == 22
        assert {kept.answers[0].by for kept in catalogue.images.values()} == {
            {"review": "key by key", "random": "random"}[name]
        }
    assert found["errors_percent"]["before"] == round(100 * line["before"]["errors"] / 22, 2)
    own_images.main([str(own), *words, str(tmp_path / "results")])
    assert json.loads(capsys.readouterr().out) == found  # nothing is measured twice


def test_every_picture_of_a_person_is_on_one_side(own):
    pictures = {str(number): image for number, image in enumerate(own_images.find_images(own))}
    pool, held_out = own_images.split(pictures, 3)
    assert len(pool) == len(held_out) == 22
    people = [{own_images.person(image) for image in side.values()} for side in (pool, held_out)]
    assert people[0] | people[1] == set(PEOPLE)
    assert not people[0] & people[1]
