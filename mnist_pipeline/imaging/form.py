"""MNIST's form: 28x28 pixels, 0 = background, 255 = ink. Pure.

The digit is scaled to fit 20x20 pixels with its aspect kept, grey only from anti-aliasing, and placed by its centre of
mass at the centre of 28x28 (LeCun, Cortes and Burges, yann.lecun.com/exdb/mnist).
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from mnist_pipeline import INK_SIDE, SIDE
from mnist_pipeline.imaging.levels import Grey, framed
from mnist_pipeline.imaging.pieces import AREA, WIDTH, label

FINE = 4
"""Strokes are measured and drawn on a grid so many times finer than the form's."""
STROKE = (2.1, 4.6)
"""Stroke widths that are left as they are, pixels of the form; thinner ones are thickened, thicker ones thinned ..."""
STROKE_AIM = (2.4, 4.2)
"""... to these."""


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
    """int64 [n]: from the first to the last True of each row of bool [n, k]; 0 in rows without one."""
    first = used.argmax(axis=1)
    last = used.shape[1] - 1 - used[:, ::-1].argmax(axis=1)
    return np.where(used.any(axis=1), last - first + 1, 0)


def draw(strength: Grey) -> Grey:
    """uint8 [28, 28]: ink (uint8 [h, w], 255 = all ink) in MNIST's size, stroke width and place."""
    fine = _scaled_to(cropped(strength), INK_SIDE * FINE)
    return centre(_scaled_to(cropped(with_stroke_width(fine)), INK_SIDE))


def resize_only(plane: Grey) -> Grey:
    """uint8 [28, 28]: the plane resized by area, its polarity and proportions as they come."""
    return np.asarray(cv2.resize(plane, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def cropped(strength: Grey) -> Grey:
    """The box around everything that is at least a quarter ink."""
    left, top, width, height = cv2.boundingRect((strength > 64).view(np.uint8))
    return strength[top : top + height, left : left + width] if width else strength


def _scaled_to(strength: Grey, side: int) -> Grey:
    """Scaled so that the longer side is ``side``, proportions kept: by area where it shrinks, else bilinear."""
    height, width = strength.shape
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(strength, size, interpolation=method), np.uint8)


def with_stroke_width(fine: Grey) -> Grey:
    """The ink on the fine grid with strokes as wide as MNIST's, with a margin of paper."""
    fine = framed(fine, FINE)
    inside = np.asarray(cv2.distanceTransform((fine > 127).view(np.uint8), cv2.DIST_L2, 3), np.float32)
    width = stroke_width(inside) / FINE
    if width < STROKE[0]:
        away = cv2.distanceTransform((fine <= 127).view(np.uint8), cv2.DIST_L2, 3)
        return np.maximum(fine, _to_uint8((STROKE_AIM[0] - width) / 2 * FINE + 1 - away))
    return _thinned(fine, inside, (width - STROKE_AIM[1]) / 2 * FINE) if width > STROKE[1] else fine


def _thinned(fine: Grey, inside: NDArray[np.float32], loss: float) -> Grey:
    """The ink with strokes narrower by ``loss`` on either side, but for long ones that would be lost.

    Args:
        fine: uint8 [h, w].
        inside: float32 [h, w]: distance of each pixel of ink to the next pixel of paper, 0 in paper.
        loss: pixels.
    """
    core = (inside <= loss + 1).view(np.uint8)
    from_core = cv2.distanceTransform(core, cv2.DIST_L2, 3)
    thin = ((inside > 0) & (from_core > loss + 2)).view(np.uint8)
    labels, stats = label(thin)
    long = stats[:, WIDTH:AREA].max(axis=1) >= 2 * loss
    long[0] = False
    thinned = np.minimum(fine, _to_uint8(inside - loss))
    if not long.any():
        return thinned
    reach = 2 * round(loss) + 5
    near = cv2.dilate(long.view(np.uint8).take(labels), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    return np.maximum(thinned, np.where(np.asarray(near) > 0, fine, np.uint8(0)))


def stroke_width(inside: NDArray[np.float32]) -> float:
    """Mean width of the strokes, from the distances of pixels to the next one that is no ink (0 in those).

    Across a stroke the distances rise from 1 to half its width and fall again: their mean is a quarter of the width,
    and a half.
    """
    ink = np.count_nonzero(inside)
    return max(1.0, 4 * float(inside.sum()) / ink - 2) if ink else 1.0


def centre(strength: Grey) -> Grey:
    """uint8 [28, 28]: a box of at most 20x20 with its centre of mass at the centre, its darkest pixel 255."""
    height, width = strength.shape
    moments = cv2.moments(strength)
    mass = max(moments["m00"], 1e-6)
    top = min(max(round(SIDE / 2 - moments["m01"] / mass), 0), SIDE - height)
    left = min(max(round(SIDE / 2 - moments["m10"] / mass), 0), SIDE - width)
    canvas = np.zeros((SIDE, SIDE), np.uint8)
    canvas[top : top + height, left : left + width] = strength
    return np.asarray(cv2.convertScaleAbs(canvas, alpha=255 / max(int(strength.max()), 1)), np.uint8)


def _to_uint8(strength: NDArray[np.float32]) -> Grey:
    return np.asarray(np.rint(np.clip(strength, 0, 1) * 255), np.uint8)
