"""One image at a time: the very row that `score` writes of it, and what the model saw."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.rejection.answers import ERROR, ConfidenceThreshold
from mnist_pipeline.scoring.classify import Model, score_one
from mnist_pipeline.scoring.items import Preprocessing
from mnist_pipeline.scoring.results import ROW, ShardResults
from mnist_pipeline.scoring.writers import json_rows


@dataclass(frozen=True, slots=True)
class Reply:
    """What is known of one image.

    Attributes:
        row: what `score --probabilities` writes to a .jsonl file, key by key in that order.
        novelty: log-odds that it is no digit; None where the model was not asked, or does not tell.
        seen: uint8 [28, 28], the picture that the model saw; None where the image could not be read.
    """

    row: dict[str, Any]
    novelty: float | None
    seen: NDArray[np.uint8] | None


def classify_image(name: bytes, preprocessing: Preprocessing, model: Model, threshold: ConfidenceThreshold) -> Reply:
    """Read, decode and answer one image.

    Args:
        name: of the image, for the preprocessing's reader and for the row.
        preprocessing: how it is read and preprocessed.
        model: what to ask.
        threshold: below which an answer is ``no_digit``.
    """
    _, rows = score_one(name, preprocessing, model)
    novelty = float(rows.rows["novelty"][0])
    row = _as_row(ShardResults((name,), rows.rows, rows.errors).judged(threshold))
    return Reply(row, novelty if np.isfinite(novelty) else None, rows.seen.get(0))


def unanswered(name: bytes, kind: str, message: str) -> Reply:
    """Of an image that brought its worker down."""
    rows = np.zeros(1, ROW)
    rows["status"] = ERROR
    return Reply(_as_row(ShardResults((name,), rows, {0: (kind, message)})), None, None)


def _as_row(results: ShardResults) -> dict[str, Any]:
    [row] = json_rows(results, probabilities=True)
    return row
