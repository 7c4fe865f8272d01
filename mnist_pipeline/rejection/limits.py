"""Choose the rule by which scoring answers "no digit". Pure.

Two things are held against an answer: that the model is not sure, and that the image looks like no digit. The budget,
a share of the right answers on validation rows, is divided between them.
"""

import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.rejection.fitting import HIDDEN, fit_network
from mnist_pipeline.rejection.novelty import Novelty, encode
from mnist_pipeline.rejection.schema import Rejection

CONFIDENCE_SHARE = 0.1
"""Of the budget. On printed letters the two rules did about as well with any share from 0 to 0.5; to images that
people make themselves, a right answer is more often unsure than the image is strange."""
UNSURE_SHARE = 0.2
"""Of the right answers: those among them that are less sure are asked about novelty although they came in MNIST's
form. To ask about all of them would slow scoring by a third; the letters that it would find besides are few."""


class LabelledImages(Protocol):
    """Rows of a dataset."""

    @property
    def images(self) -> NDArray[np.uint8]:
        """uint8 [n, 28, 28]."""
        ...

    @property
    def labels(self) -> NDArray[np.uint8]:
        """uint8 [n]."""
        ...


def choose_rejection(
    train: LabelledImages, validation: LabelledImages, probabilities: NDArray[np.float32], target: float
) -> Rejection | None:
    """The rule that turns away at most the share ``target`` of the right answers.

    Args:
        train: rows that the network for novelty is fitted on.
        validation: rows that the thresholds are chosen on.
        probabilities: of the model for the validation rows.
        target: accepted false-reject rate, in [0, 1).

    Returns:
        None where nothing is held out or no answer is right.
    """
    network = fit_network(train.images, train.labels)
    chosen = choose_threshold(validation.labels, probabilities, target * (1 if network is None else CONFIDENCE_SHARE))
    if network is None or chosen is None:
        return chosen
    into, out, rows = network
    right = probabilities.argmax(axis=1) == validation.labels
    confidence = probabilities.max(axis=1)[right]
    novelty = Novelty(
        hidden=HIDDEN,
        weights=encode(into, out),
        threshold=0,
        sure=float(np.quantile(confidence, UNSURE_SHARE)),
        rows=rows,
    )
    strangeness = novelty.strangeness(np.asarray(validation.images[right]))
    sure_enough = confidence >= chosen.threshold
    allowed = int(target * len(confidence)) - int(np.count_nonzero(~sure_enough))
    threshold = float(np.sort(strangeness[sure_enough])[::-1][allowed])
    turned_away = ~sure_enough | (strangeness > threshold)
    return chosen.model_copy(
        update={
            "target": target,
            "false_reject_rate": float(turned_away.mean()),
            "novelty": novelty.model_copy(update={"threshold": threshold}),
        }
    )


def choose_threshold(labels: NDArray[np.uint8], probabilities: NDArray[np.float32], target: float) -> Rejection | None:
    """The highest threshold that turns away at most the share ``target`` of the right answers.

    Args:
        labels: of validation rows; never of test rows.
        probabilities: for the same rows.
        target: accepted false-reject rate, in [0, 1).

    Returns:
        None where no answer is right.
    """
    right = np.sort(probabilities.max(axis=1)[probabilities.argmax(axis=1) == labels].astype(np.float64))
    if not len(right):
        return None
    threshold = float(right[math.floor(target * len(right))])
    rejected = int((right < threshold).sum())
    return Rejection(threshold=threshold, target=target, false_reject_rate=rejected / len(right), rows=len(labels))
