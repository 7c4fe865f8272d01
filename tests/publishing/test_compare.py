"""Candidate and champion: where they differ on the same images, and which files are not believed."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_pipeline.config import EvaluateConfig
from mnist_pipeline.data.dataset import Dataset
from mnist_pipeline.errors import DataError, ExportError, IntegrityError
from mnist_pipeline.evaluation.evaluate import evaluate_model
from mnist_pipeline.evaluation.schema import Comparison, Evaluation
from mnist_pipeline.files import sha256_bytes
from mnist_pipeline.publishing.compare import compare, compare_with_champion
from mnist_pipeline.runs.artifacts import FetchedDataset
from mnist_pipeline.workspace import RunDirectory
from tests.support import linear_models

NAMES = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
VERSION = "20261101-7be1c04d"


class Pair(NamedTuple):
    """An evaluated candidate, its answers, and the weights of a lesser model."""

    dataset: FetchedDataset
    data: Dataset
    run: RunDirectory
    answers: np.ndarray
    champion: np.ndarray


@pytest.fixture(scope="module")
def learnt(digits_dataset: FetchedDataset) -> tuple[Dataset, np.ndarray, np.ndarray]:
    data = Dataset.open(digits_dataset.directory)
    images, labels = data.train.images, data.train.labels
    return data, linear_models.fit(images, labels, 60), linear_models.fit(images, labels, 3)


@pytest.fixture
def pair(learnt, digits_dataset: FetchedDataset, tmp_path: Path) -> Pair:
    data, better, lesser = learnt
    run, exported = linear_models.export(better, digits_dataset, tmp_path / "run")
    evaluate_model(EvaluateConfig(device="cpu"), digits_dataset, exported, run)
    return Pair(digits_dataset, data, run, linear_models.predict(better, data.test.images).argmax(axis=1), lesser)


@pytest.fixture
def publish(pair: Pair, tmp_path: Path) -> Callable[..., tuple[Path, str]]:
    """Writes a model as a champion's file; returns path and SHA-256."""

    def write(weights: np.ndarray, **metadata: str) -> tuple[Path, str]:
        facts = linear_models.metadata_of(pair.dataset, "champion").model_copy(update=metadata)
        data = linear_models.onnx_bytes(weights, facts)
        path = tmp_path / "champion.onnx"
        path.write_bytes(data)
        return path, sha256_bytes(data)

    return write


def test_the_comparison_lists_what_was_fixed_and_broken_and_whether_that_is_chance(pair, publish):
    from scipy.stats import binomtest

    path, sha256 = publish(pair.champion)
    labels = pair.data.test.labels
    right = pair.answers == labels
    was_right = linear_models.predict(pair.champion, pair.data.test.images).argmax(axis=1) == labels

    found = compare_with_champion(pair.dataset, pair.run, path, VERSION, sha256)

    assert found.fixed == np.flatnonzero(right & ~was_right).tolist() != []
    assert found.broken == np.flatnonzero(was_right & ~right).tolist() != []
    assert (found.samples, found.candidate_accuracy, found.champion_accuracy) == (360, right.mean(), was_right.mean())
    discordant = len(found.fixed) + len(found.broken)
    assert found.p_value == pytest.approx(binomtest(len(found.fixed), discordant).pvalue, rel=1e-9)
    assert [(row.label, row.name) for row in found.per_class] == list(enumerate(NAMES))
    for row in found.per_class:
        of_class = labels == row.label
        assert (row.candidate, row.champion) == (right[of_class].mean(), was_right[of_class].mean())
    assert (found.champion_version, found.champion_sha256) == (VERSION, sha256)
    assert found.champion_dataset_digest == pair.dataset.digest
    assert Comparison.model_validate_json(pair.run.comparison.read_bytes()) == found


def test_a_model_against_itself_is_a_tie(pair, publish, learnt):
    found = compare_with_champion(pair.dataset, pair.run, *_champion(publish(learnt[1])))
    assert (found.fixed, found.broken, found.p_value) == ([], [], 1.0)


def test_the_champions_own_dataset_is_read_from_its_file(pair, publish):
    path = publish(pair.champion, dataset="mnist", dataset_digest="ab" * 32)
    found = compare_with_champion(pair.dataset, pair.run, *_champion(path))
    assert found.champion_dataset_digest == "ab" * 32


def test_a_champion_whose_bytes_changed_is_not_run(pair, publish):
    path, sha256 = publish(pair.champion)
    data = bytearray(path.read_bytes())
    data[-20] ^= 0x40
    path.write_bytes(data)

    with pytest.raises(IntegrityError, match=sha256):
        compare_with_champion(pair.dataset, pair.run, path, VERSION, sha256)
    assert not pair.run.comparison.exists()


def test_a_champion_that_gives_no_probabilities_is_not_counted_as_wrong(pair, publish):
    with pytest.raises(ExportError, match="no probabilities"):
        compare_with_champion(pair.dataset, pair.run, *_champion(publish(np.full_like(pair.champion, np.nan))))
    assert not pair.run.comparison.exists()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _rotate_the_classes(path: Path) -> None:
    np.save(path, np.roll(np.load(path), 1, axis=1))


def _drop_a_row(path: Path) -> None:
    np.save(path, np.load(path)[1:])


def _pickle(path: Path) -> None:
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)


def _flatten(path: Path) -> None:
    np.save(path, np.load(path).ravel())


def _one_other_mistake(path: Path) -> None:
    """One wrong answer becomes another wrong answer: the accuracy stays what it was."""
    mistake = Evaluation.model_validate_json((path.parent / "evaluation.json").read_bytes()).mistakes[0]
    stored = np.load(path)
    other = next(label for label in range(10) if label not in (mistake.true, mistake.predicted))
    stored[mistake.row] = np.eye(10)[other]
    np.save(path, stored)


@pytest.mark.parametrize(
    "damage", [_cut, _rotate_the_classes, _drop_a_row, _pickle, _flatten, _one_other_mistake, Path.unlink]
)
def test_stored_predictions_that_are_not_those_of_the_evaluation_are_not_believed(pair, publish, damage):
    damage(pair.run.predictions)

    with pytest.raises(IntegrityError, match=r"predictions\.npy .*evaluate again"):
        compare_with_champion(pair.dataset, pair.run, *_champion(publish(pair.champion)))
    assert not pair.run.comparison.exists()


def test_an_evaluation_on_another_dataset_is_not_compared(pair, publish):
    other = pair.dataset.model_copy(update={"digest": "ee" * 32})

    with pytest.raises(DataError, match=f"of dataset {pair.dataset.digest[:12]}, not of eeeeeeeeeeee"):
        compare_with_champion(other, pair.run, *_champion(publish(pair.champion)))


ANSWERS = st.lists(st.tuples(*[st.integers(0, 9)] * 3), min_size=1, max_size=50)


@given(ANSWERS)
def test_fixed_less_broken_is_what_the_accuracy_gained(rows):
    labels, candidate, champion = np.array(rows).T

    found = compare(
        labels,
        candidate,
        champion,
        names=NAMES,
        champion_version=VERSION,
        champion_sha256="c7" * 32,
        champion_dataset_digest="3d" * 32,
    )

    gained = (len(found.fixed) - len(found.broken)) / len(rows)
    assert gained == pytest.approx(found.candidate_accuracy - found.champion_accuracy)
    assert all(candidate[row] == labels[row] != champion[row] for row in found.fixed)
    assert all(champion[row] == labels[row] != candidate[row] for row in found.broken)
    assert all(row.candidate == row.champion == 0 for row in found.per_class if row.label not in labels)


def _champion(written: tuple[Path, str]) -> tuple[Path, str, str]:
    path, sha256 = written
    return path, VERSION, sha256
