"""``dataset.json``: what a stored dataset is, where it came from, and what was counted in it."""

import logging
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from mnist_pipeline.data.checks import DataChecks
from mnist_pipeline.data.description import SplitRows
from mnist_pipeline.errors import IntegrityError
from mnist_pipeline.schema import Record, first_problem

CARD = "dataset.json"
_logger = logging.getLogger(__name__)


class SourceFile(Record):
    """A file that the dataset was decoded from."""

    name: str
    bytes: int
    sha256: str


class DatasetCard(Record):
    """``dataset.json``: what the dataset is, where it came from, and what was counted in it."""

    name: str
    title: str
    digest: str
    """Identifies pixels, labels, split and class names (`description.dataset_digest`)."""
    source: str
    """Where the bytes came from; without credentials."""
    source_files: list[SourceFile]
    """Empty where the source is embedded."""
    created: datetime
    rows: SplitRows
    image_size: tuple[int, int]
    """Height and width in pixels."""
    class_names: tuple[str, ...]
    pixels_sha256: str
    """Of the pixels, uint8 [rows, 28, 28] in C order."""
    labels_sha256: str
    """Of the one-hot labels, uint8 [rows, 10] in C order."""
    files: dict[str, str]
    """Name -> hex SHA-256 of images.npy (uint8 [rows, 28, 28]) and labels.npy (class indices, uint8 [rows])."""
    checks: DataChecks


def read_card(directory: Path) -> DatasetCard:
    """The card of the dataset in ``directory``.

    Raises:
        IntegrityError: it is missing or broken.
    """
    path = directory / CARD
    try:
        return DatasetCard.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise IntegrityError(f"{path} is missing; fetch the dataset again") from error
    except ValidationError as error:
        raise IntegrityError(f"{path} is not a dataset card: {first_problem(error)}") from error


def warn_about(card: DatasetCard) -> None:
    """Say what does not make the data wrong, but whoever trains on it should know."""
    checks = card.checks
    if checks.duplicates_across.count:
        train_row, test_row = checks.duplicates_across.pairs[0]
        _logger.warning(
            "%s: %d test images are among the train images too (first: test row %d is train row %d)",
            card.name, checks.duplicates_across.count, test_row, train_row,
        )  # fmt: skip
    for split, counts in (("train", checks.counts.train), ("test", checks.counts.test)):
        absent = [name for name, count in zip(card.class_names, counts, strict=True) if not count]
        if absent:
            _logger.warning("%s: no %s image of class %s", card.name, split, ", ".join(absent))
