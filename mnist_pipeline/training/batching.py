"""What is trained when: epochs, batches, and the order of the rows. Pure."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.config import TrainConfig
from mnist_pipeline.data.order import stable_permutation
from mnist_pipeline.errors import UsageError

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Batching:
    """The batches of one training.

    Attributes:
        population: train rows that there are.
        rows: train rows of an epoch: all, but for a few that cannot be shared out equally among several devices;
            each epoch leaves out others.
        batch_size: rows in a batch; the last batch of an epoch may be smaller.
        batches: in all.
        validate_every: batches between two validations inside an epoch; None means after each epoch only.
        seed: decides the order, together with the epoch's number.
    """

    population: int
    rows: int
    batch_size: int
    batches: int
    validate_every: int | None
    seed: int

    @classmethod
    def of(cls, config: TrainConfig, population: int, seed: int, devices: int = 1) -> "Batching":
        """The batches of one member, which are shared out to so many devices.

        Raises:
            UsageError: ``config.batch_size`` cannot be shared out equally.
        """
        if config.batch_size % devices or population < devices:
            raise UsageError(f"batch_size {config.batch_size} cannot be shared out equally to {devices} devices")
        rows = population - population % devices
        in_epoch = math.ceil(rows / config.batch_size)
        whole = in_epoch * max(config.epochs, math.ceil(config.min_batches / in_epoch))
        batches = min(whole, config.max_batches or whole)
        return cls(population, rows, config.batch_size, batches, config.validate_every_batches, seed)

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

    def batches_in(self, epoch: int) -> int:
        """Batches of the 1-based ``epoch``."""
        return min(self.batches_per_epoch, self.batches - self.batches_before(epoch))

    def order(self, epoch: int) -> Rows:
        """int64: positions of the train rows in the order of the 1-based ``epoch``; a function of seed and epoch."""
        rows = min(self.batches_in(epoch) * self.batch_size, self.rows)
        return stable_permutation(self.population, (self.seed, epoch))[:rows]

    def segments(self, epoch: int) -> list[Rows]:
        """The epoch's order, cut where the validation rows are measured."""
        order = self.order(epoch)
        size = self.batch_size * (self.validate_every or self.batches_per_epoch)
        return [order[start : start + size] for start in range(0, len(order), size)]


def derived_seed(seed: int, *path: int) -> int:
    """A seed below 2**31 for one use of the training's ``seed``; different paths give unrelated ones."""
    return int(np.random.SeedSequence((seed, *path)).generate_state(1)[0]) >> 1
