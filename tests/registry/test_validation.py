from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from mnist_pipeline.evaluation.schema import Check
from mnist_pipeline.inference import Classifier
from mnist_pipeline.publishing.validate import validate_in_fresh_process
from tests.support import samples


class Golden(NamedTuple):
    model: Path
    sha256: str
    images: Any
    probabilities: Any

    def validate(self, **changes: Any) -> Check:
        limits = {key: changes.pop(key) for key in ("timeout", "tolerance") if key in changes}
        return validate_in_fresh_process(*self._replace(**changes), device="cpu", **limits)


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Golden:
    model = samples.write_model(tmp_path_factory.mktemp("golden"), 1)
    images = np.random.default_rng(0).integers(0, 256, (16, 28, 28), np.uint8)
    digest = sha256(model.read_bytes()).hexdigest()
    probabilities = Classifier.load(model, sha256=digest, device="cpu").probabilities(images)
    return Golden(model, digest, images, probabilities)


def test_a_fresh_process_reproduces_the_stored_predictions(golden: Golden) -> None:
    found = golden.validate()
    assert found.passed
    assert found.value is not None
    assert found.value <= 1e-6
    assert "reproduced the stored predictions of 16 images" in found.sentence


def test_a_difference_beyond_the_tolerance_fails(golden: Golden) -> None:
    probabilities = golden.probabilities.copy()
    probabilities[3, 7] += 2e-4
    found = golden.validate(probabilities=probabilities)
    assert not found.passed
    assert found.value == pytest.approx(2e-4, rel=1e-2)
    assert "did not reproduce" in found.sentence
    assert golden.validate(probabilities=probabilities, tolerance=1e-3).passed


def test_another_decision_fails_however_close(golden: Golden) -> None:
    probabilities = np.full_like(golden.probabilities, 0.1)
    images = np.zeros_like(golden.images)  # a linear model without ink says 0.1 for every class
    probabilities[0, 9] += 1e-6
    found = golden.validate(images=images, probabilities=probabilities)
    assert not found.passed
    assert found.value is not None
    assert found.value < 1e-5
    assert "1 other decisions" in found.sentence


def test_predictions_of_another_shape_fail(golden: Golden) -> None:
    found = golden.validate(probabilities=golden.probabilities[:, :9])
    assert not found.passed
    assert found.value is None
    assert "other shapes" in found.sentence


def test_changed_missing_and_unreadable_models_are_refused_with_the_reason(golden: Golden, tmp_path: Path) -> None:
    changed = tmp_path / "model.onnx"
    changed.write_bytes(golden.model.read_bytes()[:-1])
    for model, reason in ((changed, "SHA-256"), (tmp_path / "absent.onnx", "missing")):
        found = golden.validate(model=model)
        assert not found.passed
        assert "refused: " in found.sentence
        assert reason in found.sentence


def test_a_process_that_hangs_or_dies_is_a_failed_check(golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    late = golden.validate(timeout=0.01)
    assert not late.passed
    assert "not done after 0.01 s" in late.sentence
    monkeypatch.setattr("sys.executable", "/bin/false")
    dead = golden.validate()
    assert not dead.passed
    assert "ended with status 1 (no message)" in dead.sentence
