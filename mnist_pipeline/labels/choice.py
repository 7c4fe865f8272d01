"""Which images of an output people are asked about. Pure."""

import hashlib
import heapq
from collections.abc import Callable, Iterable

from mnist_pipeline.scoring.rows import ScoredRow

Rank = Callable[[ScoredRow], tuple[float, ...]]


def choose_images(rows: Iterable[ScoredRow], count: int, *, seed: int = 0) -> list[ScoredRow]:
    """A third at random, a third the least confident answers, a third refused ones at random; mixed.

    Where there are fewer of a kind, others take their places; images that could not be scored are left out. The random
    third comes from all images, so that it stands for all of them. The order of the rows plays no part.

    Args:
        rows: of the output, gone through once; at most three times ``count`` are kept.
        count: how many at most, 1 or more.
        seed: other ones choose other images, and mix them otherwise.

    Returns:
        the rows in the order in which they are to be shown.
    """
    at_random = _Greatest(count, lambda row: (_chance(seed, row),))
    doubtful = _Greatest(count, lambda row: (-(row.confidence or 0.0), _chance(seed, row)))
    refused = _Greatest(count, lambda row: (_chance(seed, row),))
    for row in rows:
        if row.status != "error":
            at_random.offer(row)
            (doubtful if row.status == "ok" else refused).offer(row)
    chosen: dict[bytes, ScoredRow] = {}
    third = -(-count // 3)
    # A third of each kind, then whatever there is as long as there is room.
    for kind, most in [
        *((kind, third) for kind in (at_random, doubtful, refused)),
        (doubtful, count),
        (refused, count),
    ]:
        left = [row for row in kind.sorted() if row.name not in chosen]
        chosen |= {row.name: row for row in left[: min(most, count - len(chosen))]}
    return sorted(chosen.values(), key=lambda row: _chance(seed + 1, row))


class _Greatest:
    """The rows of the greatest rank, of those that were offered; each name once."""

    def __init__(self, size: int, rank: Rank) -> None:
        self._size, self._rank = size, rank
        self._heap: list[tuple[tuple[float, ...], bytes]] = []
        self._rows: dict[bytes, ScoredRow] = {}

    def offer(self, row: ScoredRow) -> None:
        if row.name in self._rows:
            return
        entry = (self._rank(row), row.name)
        if len(self._heap) < self._size:
            heapq.heappush(self._heap, entry)
        elif self._heap[0] < entry:
            _, gone = heapq.heapreplace(self._heap, entry)
            del self._rows[gone]
        else:
            return
        self._rows[row.name] = row

    def sorted(self) -> list[ScoredRow]:
        return [self._rows[name] for _, name in sorted(self._heap, reverse=True)]


def _chance(seed: int, row: ScoredRow) -> float:
    """A number in [0, 1) that the seed and the name determine."""
    drawn = hashlib.blake2b(row.name, digest_size=6, key=str(seed).encode()).digest()
    return int.from_bytes(drawn, "big") / 2**48
