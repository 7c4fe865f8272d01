"""Candidate readings of a picture, each in MNIST's form; which of them is a digit, a model says. Pure.

A reading is cheap, and none is right for all pictures: ink may be the larger part of a tight crop, a line may be a
ruling or the stem of a 4, a circle may be a 0 or stand around a digit. So nothing is decided here that a model can
decide.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from mnist_pipeline.imaging.form import draw
from mnist_pipeline.imaging.levels import Grey, fit_within, ink_strength, measure_levels, peak_levels, without_shadow
from mnist_pipeline.imaging.lines import without_lines
from mnist_pipeline.imaging.pieces import Pieces, find_pieces, objection
from mnist_pipeline.imaging.regions import Region, find_regions, stands_beside, without_edge, without_rim
from mnist_pipeline.imaging.variants import enclosed, filled, joined, proportioned

WORK = 160
"""Longer side of the plane on which ink is found, pixels."""
SMOOTH = 1.5
"""Standard deviation, pixels, of the blur under which faint ink is looked for."""
SMALL = 0.3
"""Ink whose box is smaller than this share of the picture is read again from the full-size picture ..."""
MARGIN = 0.4
"""... with so much around it, as a share of the box."""
PAPER = 0.62
"""Of a region, at least this share is its paper."""
LEAST_INSIDE = 100
"""Pixels of a region that are worth looking at."""

FLAT = "flat"
OUTSIDE = "outside"
"""The objection that ink stands beside what encloses a digit."""
PENALTIES = {
    FLAT: 0.0,
    "shadow": 0.5,
    "detail": 0.0,
    "faint": 1.0,
    "polarity": 1.0,
    "joined": 1.0,
    "filled": 2.0,
    "inside": 2.0,
    "lines": 3.0,
    "proportions": 3.0,
    "inside, lines": 4.0,
}
"""Kind of a reading -> what is added to its novelty: how much more often such a reading is wrong."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to see a picture.

    Attributes:
        image: uint8 [28, 28] in MNIST's form.
        kind: how it was seen, a key of `PENALTIES`.
        penalty: added to its novelty where readings are compared.
        objection: why this reading alone is no answer (``several``, ``noise``, ``shape``, ``outside``), or "".
    """

    image: Grey
    kind: str
    penalty: float
    objection: str


def read_flat(plane: Grey) -> Reading | None:
    """Ink as what differs from paper of one grey; None where nothing differs.

    Args:
        plane: uint8 [h, w], 0 = black, 255 = white.
    """
    return _reading(_flat(fit_within(plane, WORK)), FLAT)


def read_further(plane: Grey, whole: Callable[[], Grey] | None = None) -> list[Reading]:
    """All other plausible readings of a plane; none twice, the least penalty first.

    Args:
        plane: uint8 [h, w], 0 = black, 255 = white.
        whole: makes a larger plane of the same picture, which is asked for where the ink is small; None means that
            no larger one can be had.
    """
    found = [reading for reading in _further(_Picture(plane, whole)) if reading is not None]
    once: dict[bytes, Reading] = {}
    for reading in sorted(found, key=lambda reading: reading.penalty):
        once.setdefault(reading.image.tobytes(), reading)
    return list(once.values())


class _Picture:
    """A plane, and the larger one of the same picture, which is made when it is needed."""

    def __init__(self, plane: Grey, whole: Callable[[], Grey] | None) -> None:
        self.plane, self._make_whole = plane, whole

    @cached_property
    def _whole(self) -> Grey:
        return self.plane if self._make_whole is None else self._make_whole()

    def sharp(self, share: float) -> Grey:
        """A plane in which such a share of the longer side has `WORK` pixels, as far as there is one."""
        return self.plane if share * max(self.plane.shape) >= WORK else self._whole


def _further(picture: _Picture) -> Iterator[Reading | None]:
    work = fit_within(picture.plane, WORK)
    levels = measure_levels(work)
    bright = cv2.threshold(work, levels.threshold, 255, cv2.THRESH_BINARY)[1]
    for region in find_regions(np.asarray(bright, np.uint8)):
        yield from _inside(picture, work, region)
    flat = _flat(work)
    if flat is not None:
        yield from _variants(flat)
        yield _detail(picture, work, flat)
    if flat is None or flat.is_noisy:
        yield from _faint(picture, work)
    if not levels.is_certain:
        yield _reading(_pieces(ink_strength(work, levels, dark_ink=not levels.paper_is_bright)), "polarity")
    for dark_ink in (True, False):
        if not levels.is_certain or dark_ink == levels.paper_is_bright:
            yield from _shadow(work, dark_ink=dark_ink)


def _flat(work: Grey) -> Pieces | None:
    levels = measure_levels(work)
    return _pieces(ink_strength(work, levels, dark_ink=levels.paper_is_bright))


def _pieces(strength: Grey | None) -> Pieces | None:
    return None if strength is None else find_pieces(strength)


def _reading(pieces: Pieces | None, kind: str, beside: str = "") -> Reading | None:
    if pieces is None or not pieces.kept.size:
        return None
    return Reading(draw(pieces.alone()), kind, PENALTIES[kind], objection(pieces) or beside)


def _variants(pieces: Pieces) -> Iterator[Reading | None]:
    """What else the ink of the flat reading may be."""
    yield _enclosed(pieces)
    yield _reading(filled(pieces), "filled")
    against = objection(pieces) if pieces.kept.size else ""
    whole = joined(pieces)
    if whole is not None:
        yield _reading(whole, "joined", against if against == "several" else "")
        yield _enclosed(whole)
    distorted = proportioned(pieces)
    if distorted is not None:
        # That it is wide says nothing: it is taken for distorted.
        yield Reading(draw(distorted), "proportions", PENALTIES["proportions"], "" if against == "shape" else against)
    for rest in without_lines(pieces.strength):
        yield _reading(find_pieces(rest), "lines")


def _enclosed(pieces: Pieces) -> Reading | None:
    found = enclosed(pieces)
    return None if found is None else _reading(found[0], "inside", OUTSIDE if found[1] else "")


def _shadow(work: Grey, *, dark_ink: bool) -> Iterator[Reading | None]:
    even = without_shadow(work, dark_ink=dark_ink)
    strength = ink_strength(even, measure_levels(even), dark_ink=False)
    yield _reading(_pieces(strength), "shadow")
    if strength is not None:
        for rest in without_lines(strength):
            yield _reading(find_pieces(rest), "lines")


def _faint(picture: _Picture, work: Grey) -> Iterator[Reading | None]:
    """Ink that drowns in the noise of its paper, or is too small to count."""
    smooth = np.asarray(cv2.GaussianBlur(work, (0, 0), SMOOTH), np.uint8)
    levels = peak_levels(smooth)
    pieces = _pieces(ink_strength(smooth, levels, dark_ink=levels.paper_is_bright))
    yield _reading(pieces, "faint")
    if pieces is not None:
        yield _detail(picture, work, pieces)


def _detail(picture: _Picture, work: Grey, pieces: Pieces) -> Reading | None:
    """Small ink, read again from the full-size picture."""
    if work.shape == picture.plane.shape or not pieces.kept.size:
        return None
    left, top, right, bottom = pieces.extent
    side = max(right - left, bottom - top)
    if side > SMALL * max(work.shape):
        return None
    plane = picture.sharp((1 + 2 * MARGIN) * side / max(work.shape))
    scale, margin = max(plane.shape) / max(work.shape), MARGIN * side
    rows = slice(max(0, int((top - margin) * scale)), int((bottom + margin) * scale) + 1)
    columns = slice(max(0, int((left - margin) * scale)), int((right + margin) * scale) + 1)
    return _reading(_flat(fit_within(np.ascontiguousarray(plane[rows, columns]), WORK)), "detail")


def _inside(picture: _Picture, work: Grey, region: Region) -> Iterator[Reading | None]:
    """What stands inside a region, read from the full-size picture."""
    tall, wide = region.mask.shape
    plane = picture.sharp(max(tall, wide) / max(work.shape))
    down, across = plane.shape[0] / work.shape[0], plane.shape[1] / work.shape[1]
    rows = slice(round(region.top * down), round((region.top + tall) * down))
    columns = slice(round(region.left * across), round((region.left + wide) * across))
    part = fit_within(np.ascontiguousarray(plane[rows, columns]), WORK)
    mask = cv2.resize(region.mask, part.shape[::-1], interpolation=cv2.INTER_NEAREST)
    mask = without_rim(part, np.asarray(mask, np.uint8))
    inside = part[mask > 0]
    if inside.size < LEAST_INSIDE:
        return
    sheet = np.where(mask > 0, part, np.uint8(np.median(inside)))
    levels = measure_levels(sheet)
    bright = float(np.count_nonzero(inside > levels.threshold) / inside.size)
    strength = ink_strength(sheet, levels, dark_ink=bright > 0.5) if max(bright, 1 - bright) >= PAPER else None
    if strength is None:
        return
    pieces = find_pieces(without_edge(strength, mask))
    if not pieces.kept.size:
        return
    _, top, _, bottom = pieces.extent
    beside = OUTSIDE if stands_beside(work, region, (bottom - top) * tall / len(part)) else ""
    yield _reading(pieces, "inside", beside)
    for rest in without_lines(pieces.strength):
        yield _reading(find_pieces(rest), "inside, lines", beside)
