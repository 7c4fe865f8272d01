"""Grey planes to the sprite's form: 28x28, 0 = background, 255 = ink, as MNIST has it. Pure.

MNIST's form (LeCun, Cortes and Burges, yann.lecun.com/exdb/mnist): the digit scaled to fit 20x20 pixels with
its aspect kept, grey only from anti-aliasing, placed by its centre of mass at the centre of 28x28.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnist_pipeline.imaging.components import Component, label
from mnist_pipeline.mnist_form import INK_SIDE, SIDE

FINE = 4
"""Strokes are measured and drawn on a grid so many times finer than the sprite's."""
WORK = 128
"""Longer side of the plane on which ink is found, pixels."""
WINDOW = 0.34
"""Strokes are narrower than this share of the longer side."""
WEAK, STRONG = 0.35, 0.5
"""A piece of ink is everything above the first strength that holds something above the second."""
SPECK = 0.06
"""Pieces smaller than this share of the largest are dirt."""
FRAME = 0.6
"""A piece that covers this share of a side of the image is a frame or a shadow, where there is other ink."""
FRAME_DEPTH = 0.1
"""A frame around the image is at most so deep, as a share of the side."""
FREE = 0.35
"""A piece away from the border is the digit, where the largest piece at the border is not much larger."""
GRID = 12
"""The paper is fitted to the medians of about so many blocks along each side."""
TIGHT = 0.25
"""Share of the border that ink may cover on paper that is taken for even: more is a shade of the paper."""
HUGGING = 0.1
"""Share of the border from which on the majority is not trusted."""
STROKE_SCALES = (0.05, 0.08, 0.13, 0.2)
"""Widths of structures that are compared, as shares of the longer side."""
LEAST_AREA = 0.002
"""Share of the image that other ink must have, to be the digit in a frame."""
MIN_CONTRAST = 10.0
"""Ink differs from its background by at least so many grey levels of 255 ..."""
MIN_CONTRAST_TO_NOISE = 2.5
"""... and by so many standard deviations of the background."""
STROKE = (2.1, 4.6)
"""Stroke widths that are left as they are, pixels of the sprite; thinner ones are thickened to the first."""
STROKE_AIM = (2.4, 4.2)

# The limits of `objection`, set on 1,400 pictures drawn from train rows (14 kinds: thin, thick, rotated, cropped
# tightly, faint, under a gradient, noisy, on lined paper, blurred, framed ...): together they reject 0.4 % of them,
# and 99 % of pictures with two to four digits.
MAX_SCATTERED = 0.15
MAX_PIECES = 8
TALL, BIG, MAX_OVERLAP = 0.6, 0.3, 0.2
MIN_SIDE = 4
MAX_ASPECT = 2.2

Grey = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Ink:
    """What was found on a plane.

    Attributes:
        strength: float32 [h, w] in [0, 1]: how much of a pixel is ink.
        components: the connected pieces of ink that belong to the digit, the largest first; none on a blank.
        scattered: share of all ink that lies in pieces too small to belong to it.
    """

    strength: Grey
    components: tuple[Component, ...]
    scattered: float = 0.0

    @property
    def on_border(self) -> float:
        """Share of the outermost pixels that are ink."""
        height, width = self.strength.shape
        sides = [
            side
            for piece in self.components
            for touches, side in (
                (piece.top == 0, piece.mask[0]),
                (piece.bottom == height, piece.mask[-1]),
                (piece.left == 0, piece.mask[:, 0]),
                (piece.right == width, piece.mask[:, -1]),
            )
            if touches
        ]
        return float(sum(np.count_nonzero(side) for side in sides) / (2 * (height + width)))


@dataclass(frozen=True, slots=True)
class Prepared:
    """An image ready for the model: uint8 [28, 28]; and why it is no digit, or ""."""

    image: NDArray[np.uint8]
    reason: str


def has_sprite_form(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which (bool [n]) of uint8 [n, 28, 28] look as MNIST's images do, and so must not be touched.

    All 65,000 images of the sprite and the embedded digits satisfy each condition (in brackets the extreme values
    of the sprite, then of the digits): dark ink [254..255, 214..255]; the longer side of the ink's box is 20, or
    19 where a faint edge was lost; the centre of mass is pixel 14 within half a pixel [13.48..14.50, 13.50..14.50];
    strokes are more than a pixel wide: the 2x2 erosion keeps a share of the mass [0.101..0.848, 0.642..0.833].
    """
    # Sums as products with ones: exact, all of them are whole numbers below 2**24.
    pixels = images.astype(np.float32)
    ones, axis = np.ones(SIDE, np.float32), np.arange(SIDE, dtype=np.float32)
    by_row = (pixels.reshape(-1, SIDE) @ ones).reshape(-1, SIDE)
    by_column = np.add.reduce(pixels, axis=1)
    mass = np.maximum(by_row @ ones, 1)
    centre_y, centre_x = by_row @ axis / mass, by_column @ axis / mass
    longer = np.maximum(_extent(by_row > 0), _extent(by_column > 0))
    eroded = np.minimum(images[:, :-1], images[:, 1:])
    eroded = np.minimum(eroded[:, :, :-1], eroded[:, :, 1:]).reshape(len(images), -1)
    kept = eroded.astype(np.float32) @ np.ones(eroded.shape[1], np.float32) / mass
    looks: NDArray[np.bool_] = (
        (images.reshape(len(images), -1).max(axis=1) >= 200)
        & (longer >= INK_SIDE - 1)
        & (longer <= INK_SIDE)
        & (np.abs(centre_y - SIDE / 2) <= 0.54)
        & (np.abs(centre_x - SIDE / 2) <= 0.54)
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
        return Prepared(np.zeros((SIDE, SIDE), np.uint8), "blank")
    return Prepared(draw(ink), objection(ink))


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
    plane = _without_outer_frame(plane)
    ink = _lift_either(plane - fit_background(plane), WINDOW)
    if not ink.components:
        # Thick strokes in a tight crop can pass for uneven paper: once more, with paper of one grey.
        plain = _lift_either(plane - np.float32(np.median(plane)), 1.0)
        if plain.components and plain.on_border <= TIGHT:
            return plain
    return ink


def _lift_either(residual: Grey, window: float) -> Ink:
    return _lift(residual * np.float32(polarity(residual)), window)


def _without_outer_frame(plane: Grey) -> Grey:
    """The plane without a frame that runs along all four sides, of another brightness than what it surrounds."""
    depths = [_frame_depth(view) for view in (plane, plane[::-1], plane.T, plane.T[::-1])]
    if not all(depths):
        return plane
    top, bottom, left, right = depths
    inner = plane[top : plane.shape[0] - bottom, left : plane.shape[1] - right]
    return inner if 2 * inner.size > plane.size else plane


def _frame_depth(plane: Grey) -> int:
    """Rows at the top that belong to a frame, by the medians of the rows; 0 where there is none."""
    reach = max(2, round(FRAME_DEPTH * plane.shape[0]))
    medians = np.median(plane[: reach + 1], axis=1)
    off = np.abs(medians - medians[-1])
    spread = float(np.percentile(plane, 98) - np.percentile(plane, 2))
    if float(off.max()) <= spread / 3:
        return 0
    return int(np.flatnonzero(off > spread / 10)[-1]) + 1


def polarity(residual: Grey) -> int:
    """1 where ink is brighter than paper, -1 where it is darker, from what differs from the majority of the plane.

    Most of a plane is paper. Where what is off the majority lies at the border too, it may be a shadow or a tight
    crop; then what lies free of the border is ink, or, where that does not tell, the thinner structures.
    """
    threshold = otsu(np.abs(residual))
    far = np.abs(residual) > threshold
    sign = 1 if float(residual[far].sum()) > 0 else -1
    ink = sign * residual > threshold
    border = np.concatenate([ink[0], ink[-1], ink[:, 0], ink[:, -1]])
    if float(border.mean()) <= HUGGING:
        return sign
    bright, dark = _free_area(residual > threshold), _free_area(-residual > threshold)
    if max(bright, dark) > max(3 * min(bright, dark), LEAST_AREA * residual.size):
        return 1 if bright > dark else -1
    return _thinner(residual)


def _free_area(mask: NDArray[np.bool_]) -> int:
    """Pixels of the pieces that do not touch the border."""
    return sum(piece.area for piece in label(mask) if _is_free(piece, mask.shape))


def _is_free(piece: Component, shape: tuple[int, ...]) -> bool:
    return piece.top > 0 and piece.left > 0 and piece.bottom < shape[0] and piece.right < shape[1]


def _thinner(plane: Grey) -> int:
    """1 where thin bright structures outweigh thin dark ones, else -1; from scale to scale."""
    longer = max(plane.shape)
    balance = 0.0
    for share in STROKE_SCALES:
        window = max(3, round(share * longer))
        bright = float((plane - opening(plane, window)).sum())
        dark = float((-plane - opening(-plane, window)).sum())
        balance += (bright - dark) / max(bright, dark, 1e-6)
    return 1 if balance > 0 else -1


def fit_background(plane: Grey) -> Grey:
    """float32 [h, w]: a quadratic surface through most of the plane: paper under uneven light.

    Fitted to block medians by iteratively reweighted least squares with Tukey's biweight, so that blocks full of
    ink do not count.
    """
    height, width = plane.shape
    values, y, x = _block_medians(plane)
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


def _block_medians(plane: Grey) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The median of each block, and the block's middle as y and x in [-1, 1]."""
    height, width = plane.shape
    tall, wide = max(1, height // GRID), max(1, width // GRID)
    rows, columns = height // tall, width // wide
    top, left = (height - rows * tall) // 2, (width - columns * wide) // 2
    inner = plane[top : top + rows * tall, left : left + columns * wide]
    blocks = inner.reshape(rows, tall, columns, wide).swapaxes(1, 2).reshape(rows * columns, tall * wide)
    y = (top + (np.arange(rows) + 0.5) * tall) / height * 2 - 1
    x = (left + (np.arange(columns) + 0.5) * wide) / width * 2 - 1
    return np.median(blocks, axis=1).astype(np.float64), np.repeat(y, columns), np.tile(x, rows)


def _quadratic(y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([np.ones_like(y), y, x, y * y, y * x, x * x], axis=1)


def _lift(plane: Grey, window: float) -> Ink:
    """The ink of a plane on which ink is brighter than paper, and narrower than ``window``, a share of the side."""
    raised = plane - opening(plane, max(3, round(window * max(plane.shape))))
    raised -= np.float32(np.median(raised))
    threshold = otsu(np.maximum(raised, 0))
    ink = raised > threshold
    if threshold <= 0 or not ink.any():
        return Ink(raised, ())
    level = float(np.percentile(raised[ink], 60))
    rest = raised[~ink]
    noise = float(np.median(np.abs(rest))) * 1.4826 if rest.size else 0.0
    if level < MIN_CONTRAST or level < MIN_CONTRAST_TO_NOISE * noise:
        return Ink(raised, ())
    strength = np.clip(raised / np.float32(level), 0, 1).astype(np.float32)
    found = [piece for piece in label(strength > WEAK) if float(strength[piece.mask_slice][piece.mask].max()) > STRONG]
    pieces = _without_frame(found, plane.shape)
    kept = tuple(piece for piece in pieces if piece.area >= SPECK * pieces[0].area)
    area = sum(piece.area for piece in pieces)
    return Ink(strength, kept, 1 - sum(piece.area for piece in kept) / area)


def objection(ink: Ink) -> str:
    """Why this ink is no digit, or "". The limits are fitted: see the constants."""
    pieces = ink.components
    if not pieces:
        return "blank"
    if ink.scattered > MAX_SCATTERED or len(pieces) > MAX_PIECES:
        return "noise"
    tallest = max(piece.height for piece in pieces)
    tall = [piece for piece in pieces if piece.height >= TALL * tallest and piece.area >= BIG * pieces[0].area]
    if any(_beside(one, other) for index, one in enumerate(tall) for other in tall[:index]):
        return "several"
    if tallest < MIN_SIDE or tallest * MAX_ASPECT < max(piece.width for piece in pieces):
        return "shape"
    return ""


def _beside(one: Component, other: Component) -> bool:
    """Two pieces stand next to each other: their columns hardly overlap."""
    overlap = min(one.right, other.right) - max(one.left, other.left)
    return overlap < MAX_OVERLAP * min(one.width, other.width)


def _without_frame(pieces: list[Component], shape: tuple[int, int]) -> list[Component]:
    """The pieces, without those that run along a side of the image, or only touch one, where others are the digit."""
    height, width = shape
    inner = [
        piece
        for piece in pieces
        if not (
            (piece.top == 0 and piece.mask[0].sum() > FRAME * width)
            or (piece.bottom == height and piece.mask[-1].sum() > FRAME * width)
            or (piece.left == 0 and piece.mask[:, 0].sum() > FRAME * height)
            or (piece.right == width and piece.mask[:, -1].sum() > FRAME * height)
        )
    ]
    if inner and inner[0].area >= LEAST_AREA * height * width:
        pieces = inner
    free = [piece for piece in pieces if _is_free(piece, shape)]
    return free if free and free[0].area >= FREE * pieces[0].area else pieces


def opening(plane: Grey, window: int) -> Grey:
    """Grey opening by a square: what is brighter and narrower than ``window`` is taken away.

    What is left is paper, under any light that changes slowly, and under shadows with sharp edges too. Its
    difference to the plane is the top-hat transform (Meyer 1979).
    """
    return _slide(_slide(plane, window, np.minimum, np.inf), window, np.maximum, -np.inf)


def _slide(plane: Grey, window: int, extreme: np.ufunc, outside: float) -> Grey:
    """The extreme over a square window around each pixel, by doubling: as many steps as the window has bits."""
    for axis in (0, 1):
        before = window // 2
        margin = [(0, 0), (0, 0)]
        margin[axis] = (before, window - 1 - before)
        padded = np.pad(plane, margin, constant_values=outside)
        reach = 1
        while reach < window:
            step = min(reach, window - reach)
            length = padded.shape[axis] - step
            padded = extreme(_part(padded, axis, 0, length), _part(padded, axis, step, length))
            reach += step
        plane = padded
    return plane


def _part(plane: Grey, axis: int, start: int, length: int) -> Grey:
    return plane[start : start + length] if axis == 0 else plane[:, start : start + length]


def otsu(values: Grey) -> float:
    """The threshold that separates two classes best (Otsu 1979), from 256 equal bins; 0 where there is one class."""
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
    between = np.nan_to_num(between[:-1])
    return float(edges[1 + int(between.argmax())]) if between.any() else 0.0


def draw(ink: Ink) -> NDArray[np.uint8]:
    """uint8 [28, 28]: the ink in MNIST's size, stroke weight and place."""
    digit = _crop(ink)
    side = INK_SIDE * FINE
    fine = _scaled_to(digit, side)
    width = stroke_width(fine) / FINE
    if width < STROKE[0]:
        fine = dilation(fine, (STROKE_AIM[0] - width) / 2 * FINE, outside=0)
    elif width > STROKE[1]:
        fine = 1 - dilation(1 - fine, (width - STROKE_AIM[1]) / 2 * FINE, outside=1)
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


def dilation(strength: Grey, radius: float, *, outside: float) -> Grey:
    """Grey dilation by a disc, radius in pixels; the result is larger by the radius, rounded up, on every side."""
    reach = int(np.ceil(radius))
    padded = np.pad(strength, reach, constant_values=outside)
    height, width = padded.shape
    wider = np.pad(padded, reach, constant_values=outside)
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
