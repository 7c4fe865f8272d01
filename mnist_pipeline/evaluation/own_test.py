"""The own-test images as a second test set: answered as `score` answers them, "no digit" being an answer too."""

import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

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


def measure_own_test(classifier: Classifier, archive: Path, class_names: list[str]) -> OwnTest:
    """Answer every image of own_test.zip.

    Args:
        classifier: the model; its own limits decide what is no digit.
        archive: entries are named label/digest.
        class_names: of the ten digits.
    """
    names, given = _answer(classifier, archive)
    labels = [name.partition("/")[0] for name in names]
    true = np.array([NONE if label == NO_DIGIT else int(label) for label in labels], np.int64)
    matrix = metrics.confusion_matrix(true, given, NONE + 1)
    digits, refused = true != NONE, given == NONE
    right = int((true == given).sum())
    return OwnTest(
        samples=len(names),
        accuracy=right / len(names),
        accuracy_interval=metrics.wilson_interval(right, len(names)),
        per_class=metrics.per_class(matrix, [*class_names, NO_DIGIT_NAME]),
        confusion_matrix=matrix.tolist(),
        digits=int(digits.sum()),
        digits_refused=int((digits & refused).sum()),
        no_digits=int((~digits).sum()),
        no_digits_refused=int((~digits & refused).sum()),
        mistakes=[
            OwnMistake(digest=names[wrong].partition("/")[2], true=int(true[wrong]), answer=int(given[wrong]))
            for wrong in np.flatnonzero(true != given)
        ],
    )


def _answer(classifier: Classifier, archive: Path) -> tuple[list[str], NDArray[np.int64]]:
    """The archive's names and, int64 [n], the class of each, 0 to 9 or `NONE`; what cannot be read is no digit."""
    with zipfile.ZipFile(archive) as packed:
        names = packed.namelist()
        preprocessing = Preprocessing(ArchiveReader(packed), "auto", MAX_PIXELS)
        results = score_names([name.encode() for name in names], preprocessing, classifier, {})
    rows = apply_threshold(results.rows, stated_threshold(classifier.metadata.limits) or DEFAULT_THRESHOLD)
    return names, np.where(rows["status"] == OK, rows["probabilities"].argmax(axis=1), NONE)
