"""What is counted while rows go by, in constant memory. Pure."""

import hashlib
import heapq
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from mnist_pipeline import CLASSES
from mnist_pipeline.rejection.answers import OK, REASON_NAMES, STATUS_NAMES, ConfidenceThreshold
from mnist_pipeline.rejection.rule import UNSURE
from mnist_pipeline.scoring.results import ShardResults
from mnist_pipeline.scoring.summary import ErrorExample
from mnist_pipeline.scoring.writers import escape_path

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

    def add(self, stored: ShardResults) -> ShardResults:
        """Count the rows of the next shard; return them as they are to be written."""
        results = stored.judged(self.threshold)
        rows = results.rows
        self.images += len(rows)
        self.provider = results.provider or self.provider
        self.listing.update(b"\0".join((*results.names, b"")))
        self.inputs.update(rows["sha256"].tobytes())
        self.signatures.update(np.stack([rows["size"], rows["modified_ns"]], axis=1).tobytes())
        for status, count in enumerate(np.bincount(rows["status"], minlength=len(STATUS_NAMES)).tolist()):
            self.statuses[STATUS_NAMES[status]] += count
        for reason in sorted({*rows["reason"].tolist()} - {0}):
            self._count_reason(results, reason)
        for row, (kind, message) in sorted(results.errors.items()):
            self.error_kinds[kind] += 1
            if len(self.examples) < EXAMPLES:
                self.examples.append(ErrorExample(path=escape_path(results.names[row]), kind=kind, message=message))
        self._count_answers(results)
        return results

    def _count_reason(self, results: ShardResults, reason: int) -> None:
        name, rows = REASON_NAMES[reason], np.flatnonzero(results.rows["reason"] == reason).tolist()
        if reason != UNSURE:  # those are among the doubtful
            shown = (results.names[row] for row in rows[: max(0, REJECTED - self.reasons[name])])
            self.rejected += [Rejected(name, escape_path(one), one) for one in shown]
        self.reasons[name] += len(rows)

    def _count_answers(self, results: ShardResults) -> None:
        answered = np.flatnonzero(results.answered)
        confidence, digit = results.confidences[answered], results.digits[answered]
        status = results.rows["status"][answered]
        self.digits.update(dict(enumerate(np.bincount(digit[status == OK], minlength=CLASSES).tolist())))
        bins = np.minimum(confidence * BINS, BINS - 1).astype(int)
        self.confidences.update(dict(enumerate(np.bincount(bins, minlength=BINS).tolist())))
        highest = self.doubtful[-1].confidence if len(self.doubtful) == DOUBTFUL else np.inf
        least = np.flatnonzero(confidence <= highest)
        for place in least[np.argsort(confidence[least], kind="stable")][:DOUBTFUL].tolist():
            name, answer = results.names[answered[place]], (STATUS_NAMES[status[place]], int(digit[place]))
            self.doubtful.append(Doubtful(-float(confidence[place]), escape_path(name), name, *answer))
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
