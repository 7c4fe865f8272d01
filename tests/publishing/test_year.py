"""Weekly candidates with a real registry: progress, noise, bad labels, a rollback, a gain on the wrong images.

The candidates are real models whose answers to every test image and every own-test image are planted.
"""

import json
from dataclasses import dataclass, field

import numpy as np
import pytest
from PIL import Image

from mnist_pipeline.data.dataset import Dataset
from mnist_pipeline.evaluation.schema import Evaluation
from mnist_pipeline.labels.collect import collect_own_images
from mnist_pipeline.labels.sources import find_images
from mnist_pipeline.labels.store import open_labels
from mnist_pipeline.publishing.explain import explain
from mnist_pipeline.runs.artifacts import ExtraImages
from mnist_pipeline.runs.record import Summary
from mnist_pipeline.runs.run import Run
from tests.support import linear_models
from tests.support.candidates import LENIENT, Candidates

GATE = LENIENT.model_copy(update={"policy": "significant", "min_accuracy": 0.7})
HARD, OWN = 60, 80
SURE = 8.0
"""Logit of a planted answer."""


@dataclass
class Year:
    """Plants candidates, week after week."""

    candidates: Candidates
    extra: ExtraImages
    own: list[tuple[np.ndarray, int]]
    """Own-test images and their labels."""
    weeks: list[Summary] = field(default_factory=list)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(4))

    def __post_init__(self) -> None:
        test = Dataset.open(self.candidates.dataset.directory).test
        self._images = np.concatenate([test.images, np.stack([image for image, _ in self.own])])
        self._labels = np.concatenate([test.labels, [label for _, label in self.own]]).astype(np.int64)
        self._to_weights = np.linalg.pinv(self._images.reshape(-1, 784) / 255)
        self._test = len(test)
        self._q = self.rng.beta(1.3, 1.6, HARD)
        self._places = self.rng.permutation(self._test)[:HARD]

    def run(self, *, gain: float = 0, own_wrong: int = 4, wrong: np.ndarray | None = None) -> Run:
        """A model that gets each hard test image wrong by chance, ``gain`` fewer on average."""
        if wrong is None:
            share = self._q * (1 - gain / self._q.sum())
            wrong = self._places[self.rng.random(HARD) < share]
        answers = self._labels.copy()
        answers[wrong] = (answers[wrong] + 1) % 10
        mistaken = self._test + self.rng.permutation(len(self.own))[:own_wrong]
        answers[mistaken] = (answers[mistaken] + 1) % 10
        weights = (self._to_weights @ np.eye(10)[answers] * SURE).astype(np.float32)
        return self.candidates.stand(weights, seed=len(self.weeks), gate=GATE, extra=self.extra)

    def run_on_shuffled_labels(self) -> Run:
        """A model that was fitted to labels of other images."""
        train = Dataset.open(self.candidates.dataset.directory).train
        weights = linear_models.fit(train.images, np.random.default_rng(5).permutation(train.labels), 20)
        return self.candidates.stand(weights, seed=len(self.weeks), gate=GATE, extra=self.extra)

    def publish(self, run: Run) -> Summary:
        self.weeks.append(self.candidates.publish(run))
        return self.weeks[-1]

    def errors(self, summary: Summary) -> int:
        path = self.candidates.workspace.run(summary.run_id).evaluation_json
        evaluation = Evaluation.model_validate_json(path.read_bytes())
        return evaluation.samples - evaluation.correct


@pytest.fixture
def year(candidates, tmp_path) -> Year:
    train = Dataset.open(candidates.dataset.directory).train
    for number in range(OWN):
        place = tmp_path / "own" / str(train.labels[number])
        place.mkdir(parents=True, exist_ok=True)
        image = train.images[number].copy()
        image[np.unravel_index(image.argmax(), image.shape)] -= 1
        Image.fromarray(image).save(place / f"{number}.png")
    store = open_labels(candidates.workspace.labels)
    store.add(find_images(tmp_path / "own"), by="anna")
    extra = collect_own_images(store, "labels", candidates.dataset, candidates.workspace)
    measured = {image.digest: int(image.label) for image in store.catalogue().settled("own-test")}
    paths = {path.read_bytes(): path for path in (tmp_path / "own").rglob("*.png")}
    own = [(np.asarray(Image.open(paths[store.image(digest)])), label) for digest, label in measured.items()]
    return Year(candidates, extra, own)


def reasons(year: Year, summary: Summary) -> str:
    return " ".join(summary.reasons)


def test_a_year(year):
    registry = year.candidates.registry
    first = year.publish(year.run())
    assert first.status == "promoted"

    # Weeks 1 to 6: noise. Nothing is promoted, though some candidates get more images right.
    noise = [year.publish(year.run()) for _ in range(6)]
    assert {week.status for week in noise} == {"refused"}
    assert any(year.errors(week) < year.errors(first) for week in noise)

    # Week 7: shuffled labels. Refused for itself, and no evidence for what comes after.
    before = len(registry.history("digits").challengers)
    shuffled = year.publish(year.run_on_shuffled_labels())
    assert shuffled.status == "refused"
    assert "is below the floor of 70.00 %" in reasons(year, shuffled)
    assert len(registry.history("digits").challengers) == before == 6
    assert registry.history("digits").measured[shuffled.version].against.sound is False

    # Weeks 8 on: slow progress. It gets through, though no week is significant by itself.
    progress = []
    for week in range(1, 31):
        progress.append(year.publish(year.run(gain=0.7 * week)))
        if progress[-1].status == "promoted":
            break
    second = progress[-1]
    assert second.status == "promoted"
    assert len(progress) > 3
    gate = json.loads((year.candidates.workspace.run(second.run_id).gate).read_text())
    (sentence,) = [check["sentence"] for check in gate["checks"] if check["name"] == "champion"]
    assert "better, and by more than chance (with the " in sentence
    # What is stated is less than what was measured: the best of so many had luck.
    assert gate["compared"] == len(year.weeks)
    assert gate["corrected_accuracy"] < second.accuracy

    # A person rolls back: the same candidate does not come back, and gains are gathered anew.
    registry.rollback("digits", reason="sevens with a bar", who="anna@night")
    assert registry.history("digits").challengers == ()
    assert year.candidates.champion == first.version
    again = year.publish(year.run(gain=len(progress) * 0.7))
    assert again.status == "refused"

    # Better on the test images, by far, and worse on own images: refused, and the sentence says so.
    wrong_way = year.publish(year.run(wrong=np.arange(3), own_wrong=len(year.own) - 4))
    assert wrong_way.status == "refused"
    (sentence,) = wrong_way.reasons
    assert sentence.startswith(f"On the {len(year.own)} own-test images, against champion {first.version}: ")
    assert sentence.endswith("significantly worse (level 0.05).")

    # The same without the loss: promoted at once.
    great = year.publish(year.run(wrong=np.arange(3)))
    assert great.status == "promoted"
    found = explain(registry, year.candidates.workspace, "digits", "champion")
    assert (found.standing, found.compared_with) == ("champion", first.version)
    assert len(found.fixed) > len(found.broken)
    # Every reading of the test images is an entry.
    published = [change for change in registry.history("digits").changes if change.action == "publish"]
    assert len(published) == len(year.weeks)
