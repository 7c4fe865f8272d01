"""A training that went wrong does not become champion: it is really trained, measured, compared and judged."""

from pathlib import Path

import numpy as np
import pytest

from mnist_pipeline.config import EvaluateConfig, GateConfig
from mnist_pipeline.data.dataset import Dataset
from mnist_pipeline.errors import ExportError
from mnist_pipeline.evaluation.evaluate import evaluate_model
from mnist_pipeline.evaluation.schema import Check, Evaluation, Verdict
from mnist_pipeline.publishing.compare import compare_with_champion
from mnist_pipeline.publishing.gate import judge
from mnist_pipeline.runs.artifacts import FetchedDataset
from tests.support import linear_models

CHAMPION = "20261101-7be1c04d"
SOUND = Check(name="infrastructure", value=0.0, threshold=1e-5, passed=True, sentence="A fresh process agrees.")


@pytest.fixture
def candidacy(digits_dataset: FetchedDataset, tmp_path: Path):
    """Evaluates weights, compares them with a sound champion, and judges them."""
    data = Dataset.open(digits_dataset.directory)
    sound = linear_models.fit(data.train.images, data.train.labels, 20)
    champion, exported = linear_models.export(sound, digits_dataset, tmp_path / "champion")

    def stand(weights: np.ndarray) -> Verdict:
        run, candidate = linear_models.export(weights, digits_dataset, tmp_path / "run")
        evaluate_model(EvaluateConfig(device="cpu"), digits_dataset, candidate, run)
        comparison = compare_with_champion(digits_dataset, run, champion.model_onnx, CHAMPION, exported.sha256)
        return judge(
            GateConfig(min_accuracy=0.85, min_class_accuracy=0.6, max_calibration_error=0.5, promote_ties=True),
            Evaluation.model_validate_json(run.evaluation_json.read_bytes()),
            parity=linear_models.proven(candidate.sha256),
            comparison=comparison,
            onnx_bytes=run.model_onnx.stat().st_size,
            infrastructure=SOUND,
        )

    return data, sound, stand


def test_a_training_on_shuffled_labels_is_refused_with_every_reason(candidacy):
    data, sound, stand = candidacy
    shuffled = np.random.default_rng(5).permutation(data.train.labels)

    assert stand(sound).promoted  # the same gate, the same way, for the model that learnt from true labels
    verdict = stand(linear_models.fit(data.train.images, shuffled, 20))

    assert not verdict.promoted
    assert [check.name for check in verdict.checks if not check.passed] == ["accuracy", "class accuracy", "champion"]
    accuracy, of_class, champion = verdict.reasons
    assert "is below the floor of 85.00 %" in accuracy
    assert "is below the floor of 60.00 %" in of_class
    assert champion.startswith(f"Against champion {CHAMPION}: accuracy ")
    assert champion.endswith("significantly worse (level 0.05).")


def test_weights_that_went_to_nan_are_not_even_measured(candidacy):
    _, sound, stand = candidacy
    with pytest.raises(ExportError, match="no probabilities"):
        stand(np.full_like(sound, np.nan))
