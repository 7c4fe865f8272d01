"""What is counted while rows go by, in constant memory. Pure."""

import hashlib
import heapq
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline import CLASSES
from mnist_pipeline.rejection.answers import OK, REASON_NAMES, STATUS_NAMES, ConfidenceThreshold
from mnist_pipeline.rejection.rule import UNSURE, apply_threshold
from mnist_pipeline.scoring.results import ShardResults
from mnist_pipeline.scoring.summary import ErrorExample
from mnist_pipeline.scoring.writers import Batch, escape_paths

EXAMPLES = 20
"""Errors that are named one by one."""
DOUBTFUL = 48
"""Least confident images that are shown."""
REJECTED = 8
"""Images of each reason that are shown: those that are no digit, though not for lack of confidence."""
BINS = 20
"""Of the confidence, from 0 to 1."""


class Doubtful(NamedTuple):
    """An image whose answer is worth a look; the least confident sorts last."""

    certainty: float
    """Negative confidence."""
    path: str
    name: bytes
    status: str
    digit: int

    @property
    def confidence(self) -> float:
        return -self.certainty


class Rejected(NamedTuple):
    """One of the first images that are no digit for some reason."""

    reason: str
    path: str
    name: bytes


@dataclass(slots=True)
class Statistics:
    """Counts over all rows so far."""

    threshold: ConfidenceThreshold
    images: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    digits: Counter[int] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    error_kinds: Counter[str] = field(default_factory=Counter)
    examples: list[ErrorExample] = field(default_factory=list)
    doubtful: list[Doubtful] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    confidences: Counter[int] = field(default_factory=Counter)
    provider: str = ""
    listing: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    inputs: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    signatures: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def add(self, results: ShardResults) -> Batch:
        """Count the rows of the next shard; return them as they are to be written."""
        rows = apply_threshold(results.rows, self.threshold)
        paths = escape_paths(results.names)
        self.images += len(paths)
        self.provider = results.provider or self.provider
        self.listing.update(b"\0".join((*results.names, b"")))
        self.inputs.update(rows["sha256"].tobytes())
        self.signatures.update(np.stack([rows["size"], rows["modified_ns"]], axis=1).tobytes())
        for status, count in enumerate(np.bincount(rows["status"], minlength=len(STATUS_NAMES)).tolist()):
            self.statuses[STATUS_NAMES[status]] += count
        for reason, count in enumerate(np.bincount(rows["reason"], minlength=len(REASON_NAMES)).tolist()):
            if reason and count:
                self._count_reason(results, paths, np.flatnonzero(rows["reason"] == reason), reason)
        for row, (kind, message) in sorted(results.errors.items()):
            self.error_kinds[kind] += 1
            if len(self.examples) < EXAMPLES:
                self.examples.append(ErrorExample(path=paths[row], kind=kind, message=message))
        batch = Batch(paths, rows, results.errors)
        self._count_answers(results, batch)
        return batch

    def _count_reason(self, results: ShardResults, paths: list[str], rows: NDArray[np.int64], reason: int) -> None:
        name = REASON_NAMES[reason]
        if reason != UNSURE:  # those are among the doubtful
            room = max(0, REJECTED - self.reasons[name])
            self.rejected += [Rejected(name, paths[row], results.names[row]) for row in rows[:room].tolist()]
        self.reasons[name] += len(rows)

    def _count_answers(self, results: ShardResults, batch: Batch) -> None:
        answered = np.flatnonzero(batch.answered)
        confidence, digit = batch.confidences[answered], batch.digits[answered]
        status = batch.rows["status"][answered]
        self.digits.update(dict(enumerate(np.bincount(digit[status == OK], minlength=CLASSES).tolist())))
        bins = np.minimum(confidence * BINS, BINS - 1).astype(int)
        self.confidences.update(dict(enumerate(np.bincount(bins, minlength=BINS).tolist())))
        highest = self.doubtful[-1].confidence if len(self.doubtful) == DOUBTFUL else np.inf
        least = np.flatnonzero(confidence <= highest)
        for place in least[np.argsort(confidence[least], kind="stable")][:DOUBTFUL].tolist():
            row, certainty = int(answered[place]), -float(confidence[place])
            one = (batch.paths[row], results.names[row], STATUS_NAMES[status[place]], int(digit[place]))
            self.doubtful.append(Doubtful(certainty, *one))
        self.doubtful = heapq.nlargest(DOUBTFUL, self.doubtful)

    @property
    def least_confident(self) -> list[Doubtful]:
        """The least confident first."""
        return sorted(self.doubtful, key=lambda one: (one.confidence, one.path))

    @property
    def first_rejected(self) -> list[Rejected]:
        """At most `REJECTED` of each reason, in the order of the reasons, then of the rows."""
        return sorted(self.rejected, key=lambda one: REASON_NAMES.index(one.reason))

    @property
    def shown(self) -> list[bytes]:
        """Names of the images that a report shows: those of `first_rejected`, then those of `least_confident`."""
        return [*(one.name for one in self.first_rejected), *(one.name for one in self.least_confident)]

    @property
    def histogram(self) -> list[int]:
        """Answers in each of the equal bins of the confidence, from 0 to 1."""
        return [self.confidences[bin_] for bin_ in range(BINS)]
