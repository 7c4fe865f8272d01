"""What is trained when: epochs, batches, and the order of the rows. Pure."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.config import TrainConfig
from mnist_pipeline.data.order import stable_permutation

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Plan:
    """The batches of one training.

    Attributes:
        rows: train rows.
        batch_size: rows in a batch; the last batch of an epoch may be smaller.
        batches: in all.
        validate_every: batches between two validations inside an epoch; none: after each epoch only.
        seed: decides the order, together with the epoch's number.
    """

    rows: int
    batch_size: int
    batches: int
    validate_every: int | None
    seed: int

    @classmethod
    def of(cls, config: TrainConfig, rows: int, seed: int) -> "Plan":
        per_epoch = math.ceil(rows / config.batch_size)
        batches = min(config.epochs * per_epoch, config.max_batches or config.epochs * per_epoch)
        return cls(rows, config.batch_size, batches, config.validate_every_batches, seed)

    @property
    def batches_per_epoch(self) -> int:
        return math.ceil(self.rows / self.batch_size)

    @property
    def epochs(self) -> int:
        """Epochs that are begun; the last one is cut short by ``batches``."""
        return math.ceil(self.batches / self.batches_per_epoch)

    def batches_before(self, epoch: int) -> int:
        """Batches trained before the 1-based ``epoch``."""
        return (epoch - 1) * self.batches_per_epoch

    def order(self, epoch: int) -> Rows:
        """int64: positions of the train rows in the order of the 1-based ``epoch``; a function of seed and epoch."""
        batches = min(self.batches_per_epoch, self.batches - self.batches_before(epoch))
        return stable_permutation(self.rows, (self.seed, epoch))[: batches * self.batch_size]

    def segments(self, epoch: int) -> list[Rows]:
        """The epoch's order, cut where the validation rows are measured."""
        order = self.order(epoch)
        size = self.batch_size * (self.validate_every or self.batches_per_epoch)
        return [order[start : start + size] for start in range(0, len(order), size)]


def derived_seed(seed: int, *path: int) -> int:
    """A seed below 2**31 for one use of the training's ``seed``; different paths give unrelated ones."""
    return int(np.random.SeedSequence((seed, *path)).generate_state(1)[0]) >> 1
