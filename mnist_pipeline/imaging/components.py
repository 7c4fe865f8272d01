"""Connected pieces of a mask, by runs and union-find. Pure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Component:
    """One 8-connected piece.

    Attributes:
        top, left, bottom, right: its box; bottom and right are the first row and column after it.
        area: its pixels.
        mask: bool [bottom - top, right - left], True where the piece is.
    """

    top: int
    left: int
    bottom: int
    right: int
    area: int
    mask: NDArray[np.bool_]

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def mask_slice(self) -> tuple[slice, slice]:
        """Where ``mask`` lies in the labelled array."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


def label(mask: NDArray[np.bool_]) -> list[Component]:
    """The 8-connected pieces of bool [h, w], the largest first; equal ones from top left to bottom right."""
    rows, starts, stops = _runs(mask)
    roots = _join(rows, starts, stops)
    names, owner = np.unique(roots, return_inverse=True)
    if not names.size:
        return []
    order = np.argsort(owner, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(owner[order])) + 1)
    pieces = [_piece(rows[members], starts[members], stops[members]) for members in groups]
    return sorted(pieces, key=lambda piece: (-piece.area, piece.top, piece.left))


def _runs(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Row, first column and column after the last of every horizontal run of True, in reading order."""
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(edges == 1)
    _, stops = np.nonzero(edges == -1)
    return rows, starts, stops


def _join(rows: NDArray[np.int64], starts: NDArray[np.int64], stops: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64 [runs]: the root of each run; runs that touch, corners included, share it."""
    parent = list(range(len(rows)))

    def root(run: int) -> int:
        while parent[run] != run:
            parent[run] = parent[parent[run]]
            run = parent[run]
        return run

    row, start, stop = rows.tolist(), starts.tolist(), stops.tolist()
    above = 0
    for run in range(len(row)):
        while above < run and (row[above] < row[run] - 1 or (row[above] == row[run] - 1 and stop[above] < start[run])):
            above += 1
        other = above
        while other < run and row[other] == row[run] - 1 and start[other] <= stop[run]:
            one, two = sorted((root(run), root(other)))
            parent[two] = one
            other += 1
    return np.array([root(run) for run in range(len(row))], np.int64)


def _piece(rows: NDArray[np.int64], starts: NDArray[np.int64], stops: NDArray[np.int64]) -> Component:
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    left, right = int(starts.min()), int(stops.max())
    mask = np.zeros((bottom - top, right - left), bool)
    for row, start, stop in zip((rows - top).tolist(), (starts - left).tolist(), (stops - left).tolist(), strict=True):
        mask[row, start:stop] = True
    return Component(top, left, bottom, right, int(mask.sum()), mask)
