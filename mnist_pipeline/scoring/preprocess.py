"""Grey planes to the sprite's form: 28x28, 0 = background, 255 = ink, as MNIST has it. Pure.

MNIST's form (LeCun, Cortes and Burges, yann.lecun.com/exdb/mnist): the digit scaled to fit 20x20 pixels with
its aspect kept, grey only from anti-aliasing, placed by its centre of mass at the centre of 28x28.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnist_pipeline.scoring.components import Component, label

SIDE = 28
INK_SIDE = 20
FINE = 4
"""Strokes are measured and drawn on a grid so many times finer than the sprite's."""
WORK = 128
"""Longer side of the plane on which ink is found, pixels."""
GRID = 12
"""The background is fitted to the medians of so many blocks along each side."""
MIN_CONTRAST = 10.0
"""Ink differs from its background by at least so many grey levels of 255 ..."""
MIN_CONTRAST_TO_NOISE = 5.0
"""... and by so many standard deviations of the background."""
STROKE = (2.1, 4.6)
"""Stroke widths that are left as they are, pixels of the sprite; thinner ones are thickened to the first."""
STROKE_AIM = (2.4, 4.2)

Grey = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Ink:
    """What was found on a plane.

    Attributes:
        strength: float32 [h, w] in [0, 1]: how much of a pixel is ink.
        components: the connected pieces of ink that belong to the digit, the largest first.
        reason: why this is no digit ("blank", "noise", "several", "shape"), or "".
    """

    strength: Grey
    components: tuple[Component, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """An image ready for the model: uint8 [28, 28]; and why it is no digit, or ""."""

    image: NDArray[np.uint8]
    reason: str


def has_sprite_form(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which (bool [n]) of uint8 [n, 28, 28] look as MNIST's images do, and so must not be touched.

    All 65,000 images of the sprite and the embedded digits satisfy each condition (in brackets the extreme values
    of the sprite, then of the digits): dark ink [254..255, 214..255]; the longer side of the ink's box is 20, or
    19 where a faint edge was lost; the centre of mass is near the centre [13.48..14.50, 13.00..14.00]; strokes are
    more than a pixel wide: the 2x2 erosion keeps a share of the mass [0.101..0.848, 0.642..0.833].
    """
    pixels = images.astype(np.int32)
    mass = pixels.sum(axis=(1, 2))
    safe = np.maximum(mass, 1)
    axis = np.arange(SIDE)
    centre_y = (pixels.sum(axis=2) * axis).sum(axis=1) / safe
    centre_x = (pixels.sum(axis=1) * axis).sum(axis=1) / safe
    used = pixels > 0
    longer = np.maximum(_extent(np.any(used, axis=2)), _extent(np.any(used, axis=1)))
    eroded = np.minimum(
        np.minimum(pixels[:, :-1, :-1], pixels[:, 1:, :-1]), np.minimum(pixels[:, :-1, 1:], pixels[:, 1:, 1:])
    )
    kept = eroded.sum(axis=(1, 2)) / safe
    looks: NDArray[np.bool_] = (
        (pixels.max(axis=(1, 2)) >= 200)
        & (longer >= INK_SIDE - 1)
        & (longer <= INK_SIDE)
        & (np.abs(centre_y - (SIDE - 0.5) / 2) <= 0.78)
        & (np.abs(centre_x - (SIDE - 0.5) / 2) <= 0.78)
        & (kept >= 0.1)
        & (kept <= 0.9)
    )
    return looks


def _extent(used: NDArray[np.bool_]) -> NDArray[np.int64]:
    """int64 [n]: from the first to the last True of each row of bool [n, k]; 0 where there is none."""
    first = used.argmax(axis=1)
    last = used.shape[1] - 1 - used[:, ::-1].argmax(axis=1)
    return np.where(used.any(axis=1), last - first + 1, 0)


def normalise(plane: NDArray[np.uint8] | Grey) -> Prepared:
    """Find the ink of a plane [h, w] (0 = black, 255 = white) and draw it as MNIST would."""
    ink = find_ink(fit_within(plane.astype(np.float32), WORK))
    if not ink.components:
        return Prepared(np.zeros((SIDE, SIDE), np.uint8), ink.reason or "blank")
    return Prepared(draw(ink), ink.reason)


def resize_only(plane: NDArray[np.uint8] | Grey) -> NDArray[np.uint8]:
    """uint8 [28, 28]: the plane resized by area, its polarity and proportions as they come."""
    return _to_uint8(_resized(plane.astype(np.float32), SIDE, SIDE) / np.float32(255))


def fit_within(plane: Grey, side: int) -> Grey:
    """The plane, reduced by area until its longer side is at most ``side``; never enlarged."""
    height, width = plane.shape
    scale = side / max(height, width)
    if scale >= 1:
        return plane
    return _resized(plane, max(1, round(height * scale)), max(1, round(width * scale)))


def find_ink(plane: Grey) -> Ink:
    """Separate ink from paper on a plane [h, w] of at most `WORK` pixels a side."""
    nothing = np.zeros(plane.shape, np.float32)
    residual = plane - fit_background(plane)
    threshold = otsu(np.abs(residual))
    far = np.abs(residual) > threshold
    if not far.any() or far.all():
        return Ink(nothing, (), "blank")
    signed = residual if float(residual[far].sum()) > 0 else -residual
    if _on_border(signed > threshold) > 0.5:
        signed = -signed
        signed -= np.float32(np.percentile(signed[_border(signed.shape)], 50))
    ink = signed > threshold
    level = float(np.percentile(signed[ink], 60)) if ink.any() else 0.0
    rest = signed[~ink]
    noise = float(np.median(np.abs(rest - np.median(rest)))) * 1.4826 if rest.size else 0.0
    if level < MIN_CONTRAST or level < MIN_CONTRAST_TO_NOISE * noise:
        return Ink(nothing, (), "blank")
    strength = np.clip(signed / np.float32(level), 0, 1).astype(np.float32)
    return _choose(strength)


def _choose(strength: Grey) -> Ink:
    """The pieces of ink that make up the digit."""
    found = [piece for piece in label(strength > 0.35) if float(strength[piece.mask_slice][piece.mask].max()) > 0.5]
    if not found:
        return Ink(strength, (), "blank")
    largest = found[0].area
    kept = tuple(piece for piece in found if piece.area >= 0.06 * largest)
    return Ink(strength, kept, "")


def fit_background(plane: Grey) -> Grey:
    """float32 [h, w]: a quadratic surface through most of the plane: paper under uneven light.

    Fitted to block medians by iteratively reweighted least squares with Tukey's biweight, so that blocks full of
    ink do not count.
    """
    height, width = plane.shape
    rows, columns = min(GRID, height), min(GRID, width)
    tops = np.linspace(0, height, rows + 1).astype(int)
    lefts = np.linspace(0, width, columns + 1).astype(int)
    values = np.array(
        [np.median(plane[tops[i] : tops[i + 1], lefts[j] : lefts[j + 1]]) for i in range(rows) for j in range(columns)]
    )
    y = np.repeat((tops[:-1] + tops[1:]) / 2 / height * 2 - 1, columns)
    x = np.tile((lefts[:-1] + lefts[1:]) / 2 / width * 2 - 1, rows)
    terms = _quadratic(y, x)
    start = float(np.median(values))
    coefficients = np.array([start, 0, 0, 0, 0, 0], float)
    for _ in range(6):
        off = np.abs(values - terms @ coefficients)
        scale = max(4.685 * 1.4826 * float(np.median(off)), 4.0)
        weight = np.sqrt(np.clip(1 - (off / scale) ** 2, 0, None) ** 2 + 1e-6)
        coefficients = np.linalg.lstsq(terms * weight[:, None], values * weight, rcond=None)[0]
    full_y = np.linspace(-1, 1, height)[:, None]
    full_x = np.linspace(-1, 1, width)[None, :]
    c = coefficients
    surface = c[0] + c[1] * full_y + c[2] * full_x + c[3] * full_y**2 + c[4] * full_y * full_x + c[5] * full_x**2
    return np.asarray(surface, np.float32)


def _quadratic(y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([np.ones_like(y), y, x, y * y, y * x, x * x], axis=1)


def otsu(values: Grey) -> float:
    """The threshold that separates two classes best (Otsu 1979), from 256 equal bins."""
    high = float(values.max())
    if high <= 0:
        return 0.0
    counts, edges = np.histogram(values, bins=256, range=(0, high))
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(edges[1 + int(np.nanargmax(between[:-1]))])


def _border(shape: tuple[int, ...]) -> Mask:
    mask = np.zeros(shape, bool)
    mask[[0, -1], :] = True
    mask[:, [0, -1]] = True
    return mask


def _on_border(mask: Mask) -> float:
    """Share of the outermost pixels that are True."""
    return float(mask[_border(mask.shape)].mean())


def draw(ink: Ink) -> NDArray[np.uint8]:
    """uint8 [28, 28]: the ink in MNIST's size, stroke weight and place."""
    digit = _crop(ink)
    side = INK_SIDE * FINE
    fine = _scaled_to(digit, side)
    width = stroke_width(fine) / FINE
    if width < STROKE[0]:
        fine = _thicken(fine, (STROKE_AIM[0] - width) / 2 * FINE)
    elif width > STROKE[1]:
        fine = 1 - _thicken(1 - fine, (width - STROKE_AIM[1]) / 2 * FINE)
    return centre(_scaled_to(_tight(fine), INK_SIDE))


def _crop(ink: Ink) -> Grey:
    """The box of the digit's pieces, with nothing else in it."""
    keep = np.zeros(ink.strength.shape, bool)
    for piece in ink.components:
        keep[piece.mask_slice] |= piece.mask
    # The faint rim of a stroke belongs to it.
    rim = _neighbourhood(keep)
    return _tight(np.where(rim, ink.strength, np.float32(0)))


def _neighbourhood(mask: Mask) -> Mask:
    padded = np.pad(mask, 1)
    grown = np.zeros_like(mask)
    for dy in range(3):
        for dx in range(3):
            grown |= padded[dy : dy + mask.shape[0], dx : dx + mask.shape[1]]
    return grown


def _tight(strength: Grey) -> Grey:
    """The box around everything that is at least a quarter ink."""
    used = strength > 0.25
    rows, columns = np.flatnonzero(used.any(axis=1)), np.flatnonzero(used.any(axis=0))
    if not rows.size:
        return strength
    return strength[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _scaled_to(strength: Grey, side: int) -> Grey:
    """The box scaled so that its longer side is ``side``, its proportions kept."""
    height, width = strength.shape
    scale = side / max(height, width)
    return _resized(strength, max(1, round(height * scale)), max(1, round(width * scale)))


def stroke_width(strength: Grey) -> float:
    """Mean width of the strokes, pixels: twice the area over the perimeter.

    The perimeter is the total variation, which is that of the outline wherever the grey is anti-aliasing.
    """
    padded = np.pad(strength, 1)
    dy = np.diff(padded, axis=0)[:, :-1]
    dx = np.diff(padded, axis=1)[:-1, :]
    return float(2 * padded.sum() / max(float(np.hypot(dy, dx).sum()), 1e-6))


def _thicken(strength: Grey, radius: float) -> Grey:
    """Dilation by a disc, pixels; the canvas grows with it."""
    reach = int(np.ceil(radius))
    padded = np.pad(strength, reach, mode="edge" if float(strength.mean()) > 0.5 else "constant")
    height, width = padded.shape
    wider = np.pad(padded, reach, mode="edge")
    grown = padded.copy()
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            if 0 < dy * dy + dx * dx <= radius * radius:
                shifted = wider[reach + dy : reach + dy + height, reach + dx : reach + dx + width]
                np.maximum(grown, shifted, out=grown)
    return grown


def centre(strength: Grey) -> NDArray[np.uint8]:
    """uint8 [28, 28]: a box of at most 20x20 with its centre of mass at the centre."""
    height, width = strength.shape
    total = max(float(strength.sum()), 1e-6)
    middle_y = float((strength.sum(axis=1) * np.arange(height)).sum()) / total
    middle_x = float((strength.sum(axis=0) * np.arange(width)).sum()) / total
    top = min(max(round(SIDE / 2 - middle_y), 0), SIDE - height)
    left = min(max(round(SIDE / 2 - middle_x), 0), SIDE - width)
    canvas = np.zeros((SIDE, SIDE), np.float32)
    canvas[top : top + height, left : left + width] = strength / max(float(strength.max()), 1e-6)
    return _to_uint8(canvas)


def _to_uint8(strength: Grey) -> NDArray[np.uint8]:
    return np.clip(np.rint(strength * 255), 0, 255).astype(np.uint8)


def _resized(plane: Grey, height: int, width: int) -> Grey:
    """By area where it shrinks, bilinear where it grows."""
    shrinks = height <= plane.shape[0] and width <= plane.shape[1]
    method = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(plane).resize((width, height), method), np.float32)
