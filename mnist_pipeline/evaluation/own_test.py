"""The own-test images as a second test set: answered as `score` answers them, "no digit" being an answer too."""

import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mnist_pipeline import MAX_MEGAPIXELS
from mnist_pipeline.evaluation import metrics
from mnist_pipeline.evaluation.schema import OwnMistake, OwnTest
from mnist_pipeline.inference import Classifier
from mnist_pipeline.rejection.answers import OK, ConfidenceThreshold
from mnist_pipeline.rejection.rule import DEFAULT_THRESHOLD, apply_threshold
from mnist_pipeline.scoring.classify import Job, score_names
from mnist_pipeline.scoring.sources.reading import Signature

NO_DIGIT = 10
"""The class of what is no digit, behind the ten digits."""
NONE = "none"
NO_DIGIT_NAME = "No digit"


class ArchiveReader:
    """Reads the entries of a ZIP file by name."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def expect(self, names: Iterable[bytes]) -> None:
        """They are here."""

    def read(self, name: bytes) -> tuple[bytes, Signature]:
        data = self._archive.read(name.decode())
        return data, Signature(len(data), 0)

    def signature(self, name: bytes) -> Signature:
        return Signature(self._archive.getinfo(name.decode()).file_size, 0)


class OwnAnswer(NamedTuple):
    """One image; classes are 0 to 9, or `NO_DIGIT`."""

    digest: str
    true: int
    answer: int


def measure_own_test(classifier: Classifier, archive: Path, class_names: list[str]) -> OwnTest:
    """Answer every image of own_test.zip.

    Args:
        classifier: the model; its own limits decide what is no digit.
        archive: entries are named label/digest.
        class_names: of the ten digits.
    """
    answers = _answer(classifier, archive)
    true, given = (np.array([getattr(one, field) for one in answers], np.int64) for field in ("true", "answer"))
    matrix = metrics.confusion_matrix(true, given, NO_DIGIT + 1)
    digits, refused = true != NO_DIGIT, given == NO_DIGIT
    right = int((true == given).sum())
    return OwnTest(
        samples=len(answers),
        accuracy=right / len(answers),
        accuracy_interval=metrics.wilson_interval(right, len(answers)),
        per_class=metrics.per_class(matrix, [*class_names, NO_DIGIT_NAME]),
        confusion_matrix=matrix.tolist(),
        digits=int(digits.sum()),
        digits_refused=int((digits & refused).sum()),
        no_digits=int((~digits).sum()),
        no_digits_refused=int((~digits & refused).sum()),
        mistakes=[
            OwnMistake(digest=one.digest, true=one.true, answer=one.answer) for one in answers if one.true != one.answer
        ],
    )


def _answer(classifier: Classifier, archive: Path) -> list[OwnAnswer]:
    """Of each image, in the order of the archive; what cannot be read is no digit."""
    with zipfile.ZipFile(archive) as packed:
        names = packed.namelist()
        job = Job(ArchiveReader(packed), "auto", int(MAX_MEGAPIXELS * 1e6))
        part = score_names([name.encode() for name in names], job, classifier, {})
    rows = apply_threshold(part.rows, _threshold(classifier))
    answers = np.where(rows["status"] == OK, rows["probabilities"].argmax(axis=1), NO_DIGIT).tolist()
    labels = [name.partition("/") for name in names]
    return [
        OwnAnswer(digest, NO_DIGIT if label == NONE else int(label), answer)
        for (label, _, digest), answer in zip(labels, answers, strict=True)
    ]


def _threshold(classifier: Classifier) -> ConfidenceThreshold:
    limits = classifier.metadata.limits
    if limits is None:
        return DEFAULT_THRESHOLD
    return ConfidenceThreshold(value=limits.confidence, novelty=limits.novelty, source="the model")
