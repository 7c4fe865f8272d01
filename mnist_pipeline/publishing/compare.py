"""Candidate and champion on the same test images, in the same run."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.data.dataset import Dataset
from mnist_pipeline.errors import DataError, IntegrityError
from mnist_pipeline.evaluation import metrics
from mnist_pipeline.evaluation.evaluate import predict
from mnist_pipeline.evaluation.own_test import measure_own_test
from mnist_pipeline.evaluation.schema import ClassChange, Comparison, Evaluation, OwnComparison, OwnTest
from mnist_pipeline.files import write_json
from mnist_pipeline.inference import Classifier
from mnist_pipeline.runs.artifacts import FetchedDataset
from mnist_pipeline.workspace import RunDirectory


def compare_with_champion(
    dataset: FetchedDataset,
    run: RunDirectory,
    champion_model: Path,
    champion_version: str,
    champion_sha256: str,
    *,
    own_test: Path | None = None,
) -> Comparison:
    """Run the champion on the test rows and on the own-test images, on the candidate's device; write comparison.json.

    The candidate's answers are those of its one prediction pass (``run.predictions``); so are the champion's,
    where it is the candidate.

    Raises:
        DataError: the candidate was evaluated on another dataset.
        IntegrityError: the champion's file is not what was published, or the stored predictions
            are not those of evaluation.json.
        DeviceError: the candidate ran on a GPU and the champion cannot.
        ExportError: what the champion gives are no probabilities.
    """
    evaluation = Evaluation.model_validate_json(run.evaluation_json.read_bytes())
    if evaluation.dataset_digest != dataset.digest:
        raise DataError(
            f"{run.evaluation_json} is of dataset {evaluation.dataset_digest[:12]}, not of {dataset.digest[:12]}; "
            "evaluate the model on the dataset that the champion is compared on"
        )
    data = Dataset.open(dataset.directory)
    candidate = stored_answers(run, evaluation, data.test.labels)
    classifier = Classifier.load(champion_model, sha256=champion_sha256, device=evaluation.device)
    itself = champion_sha256 == evaluation.model_sha256
    comparison = compare(
        data.test.labels,
        candidate,
        candidate if itself else predict(classifier, data.test).probabilities.argmax(axis=1),
        names=data.class_names,
        champion_version=champion_version,
        champion_sha256=champion_sha256,
        champion_dataset_digest=classifier.metadata.dataset_digest,
    )
    if own_test and evaluation.own_test:
        there = evaluation.own_test if itself else measure_own_test(classifier, own_test, evaluation.class_names)
        comparison = comparison.model_copy(update={"own_test": compare_own(evaluation.own_test, there)})
    write_json(run.comparison, comparison.model_dump(mode="json"))
    return comparison


def compare_own(candidate: OwnTest, champion: OwnTest) -> OwnComparison:
    """Where two models differ on the same own-test images."""
    wrong, was_wrong = ({mistake.digest for mistake in one.mistakes} for one in (candidate, champion))
    fixed, broken = sorted(was_wrong - wrong), sorted(wrong - was_wrong)
    return OwnComparison(
        samples=candidate.samples,
        fixed=fixed,
        broken=broken,
        p_value=metrics.mcnemar(len(fixed), len(broken)),
    )


def stored_answers(run: RunDirectory, evaluation: Evaluation, labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """int64 [n]: the candidate's answers, from ``run.predictions``.

    Raises:
        IntegrityError: the file is missing or broken, or does not give the confusion matrix of the evaluation.
    """
    try:
        answers: NDArray[np.int64] = np.load(run.predictions, allow_pickle=False).argmax(axis=-1)
    except (OSError, ValueError, EOFError) as error:
        raise IntegrityError(f"{run.predictions} cannot be read; evaluate again ({error})") from error
    classes = len(evaluation.class_names)
    same = answers.shape == labels.shape and (
        metrics.confusion_matrix(labels, answers, classes).tolist() == evaluation.confusion_matrix
    )
    if not same:
        raise IntegrityError(f"{run.predictions} is not what {run.evaluation_json} was made of; evaluate again")
    return answers


def compare(
    labels: NDArray[np.integer],
    candidate: NDArray[np.integer],
    champion: NDArray[np.integer],
    *,
    names: tuple[str, ...],
    champion_version: str,
    champion_sha256: str,
    champion_dataset_digest: str,
) -> Comparison:
    """Where two sets of answers [n] differ, and whether that could be chance."""
    right, was_right = candidate == labels, champion == labels
    fixed, broken = np.flatnonzero(right & ~was_right), np.flatnonzero(~right & was_right)
    return Comparison(
        champion_version=champion_version,
        champion_sha256=champion_sha256,
        champion_dataset_digest=champion_dataset_digest,
        samples=len(labels),
        candidate_accuracy=float(right.mean()),
        champion_accuracy=float(was_right.mean()),
        fixed=fixed.tolist(),
        broken=broken.tolist(),
        p_value=metrics.mcnemar(len(fixed), len(broken)),
        per_class=[
            ClassChange(
                label=label,
                name=name,
                candidate=_mean(right[labels == label]),
                champion=_mean(was_right[labels == label]),
            )
            for label, name in enumerate(names)
        ],
    )


def _mean(right: NDArray[np.bool_]) -> float:
    return float(right.mean()) if len(right) else 0.0
