"""The champion is followed without a restart, and no request is lost meanwhile."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mnist_pipeline.data.dataset import Dataset
from mnist_pipeline.runs.artifacts import EvaluatedModel
from tests.support import small_workspace
from tests.support.images import png
from tests.support.served import served

ENOUGH = 120


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr("mnist_pipeline.web.model.INTERVAL", 0.01)


@pytest.fixture
def image(candidates):
    return png(np.array(Dataset.open(candidates.dataset.directory).test.images[0]))


def published(candidates, fitting):
    """A run whose version is champion, and that version."""
    run = candidates.train(fitting)
    evaluated = run.output(EvaluatedModel)
    return run, small_workspace.publish(candidates.registry, run, candidates.dataset.digest, evaluated)


def wait_until(running, condition):
    """What /health says, once the condition holds for it."""
    deadline = time.monotonic() + ENOUGH
    while not condition(said := running.client.get("/health").json()):
        assert time.monotonic() < deadline, said
    return said


def test_a_new_champion_takes_over_under_load_and_each_answer_is_that_of_the_version_it_names(candidates, image):
    versions = [published(candidates, fitting)[1] for fitting in (3, 30)]
    with served(candidates.workspace.root) as running, ThreadPoolExecutor(4) as clients:

        def promote(version):
            candidates.registry.promote("digits", version, reason="to and fro")
            wait_until(running, lambda said: said["version"] == version)

        known = {}
        for version in versions:
            promote(version)
            known[version] = running.classify(image).text
        assert len(set(known.values())) == 2
        asked = [clients.submit(running.classify, image) for _ in range(200)]
        for change in range(10):
            promote(versions[change % 2])
        answers = [one.result() for one in asked]
    assert {answer.status_code for answer in answers} == {200}
    assert all(answer.text == known[answer.json()["version"]] for answer in answers)


def test_a_champion_that_does_not_repeat_its_stored_predictions_does_not_answer(candidates):
    run, first = published(candidates, 3)
    _, second = published(candidates, 30)
    np.save(run.directory.predictions, np.roll(np.load(run.directory.predictions), 1, axis=1))
    evaluated = run.peek(EvaluatedModel)
    files = EvaluatedModel.digests(*(run.directory.path / name for name in evaluated.files))
    run.replace(evaluated.model_copy(update={"files": files}))
    with served(candidates.workspace.root) as running:
        candidates.registry.promote("digits", first, reason="a mistake")
        said = wait_until(running, lambda said: said["problem"])
    assert said["problem"].startswith(f"digits {first} does not repeat its stored predictions")
    assert (said["status"], said["version"]) == ("ok", second)


def test_a_workspace_without_a_model_is_served_and_its_first_champion_answers(candidates, image):
    with served(candidates.workspace.root) as running:
        refused = running.classify(image)
        assert refused.status_code == running.client.get("/health").status_code == 503
        assert refused.json()["error"].startswith("no model answers yet: no models in ")
        assert "There is no model yet." in running.client.get("/").text
        _, version = published(candidates, 30)
        wait_until(running, lambda said: said["version"] == version and said["problem"] is None)
        assert running.classify(image).json()["version"] == version
