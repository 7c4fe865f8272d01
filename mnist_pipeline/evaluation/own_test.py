"""The own-test images as a second test set: answered as `score` answers them, "no digit" being an answer too."""

import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mnist_pipeline import MAX_PIXELS, NO_DIGIT
from mnist_pipeline.evaluation import metrics
from mnist_pipeline.evaluation.schema import OwnMistake, OwnTest
from mnist_pipeline.inference import Classifier
from mnist_pipeline.rejection.answers import OK
from mnist_pipeline.rejection.classes import NONE
from mnist_pipeline.rejection.rule import DEFAULT_THRESHOLD, apply_threshold, stated_threshold
from mnist_pipeline.scoring.classify import score_names
from mnist_pipeline.scoring.items import Preprocessing
from mnist_pipeline.scoring.sources.reading import Signature

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
    """One image; classes are 0 to 9, or `NONE`."""

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
    matrix = metrics.confusion_matrix(true, given, NONE + 1)
    digits, refused = true != NONE, given == NONE
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
        preprocessing = Preprocessing(ArchiveReader(packed), "auto", MAX_PIXELS)
        results = score_names([name.encode() for name in names], preprocessing, classifier, {})
    rows = apply_threshold(results.rows, stated_threshold(classifier.metadata.limits) or DEFAULT_THRESHOLD)
    answers = np.where(rows["status"] == OK, rows["probabilities"].argmax(axis=1), NONE).tolist()
    labels = [name.partition("/") for name in names]
    return [
        OwnAnswer(digest, NONE if label == NO_DIGIT else int(label), answer)
        for (label, _, digest), answer in zip(labels, answers, strict=True)
    ]
