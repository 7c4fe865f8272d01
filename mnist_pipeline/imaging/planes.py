"""Samples of any kind to one grey plane, 0 = black, 255 = white. Pure."""

import cv2
import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.imaging.errors import ImageError

Samples = NDArray[np.generic]
"""[height, width], or [height, width, channels] in OpenCV's order: blue, green, red, alpha."""
Plane = NDArray[np.uint8]

RANGES = (1, 255, 1023, 4095, 65_535)
"""The greatest values that files hold: shares, 8, 10, 12 and 16 bits."""
LEAST_USED = 0.1
"""Values that fill less of their range than this are stretched over all of it."""
SAME_GREY = 64
"""Visible colours whose greys lie closer together than this are one ink."""
FILLED = 0.8
"""What is visible is a card or a cut-out, if it fills this share of its own box."""


def to_plane(samples: Samples) -> Plane:
    """uint8 [h, w]: luminance (ITU-R BT.601) of the samples, in the range that they use, without transparency.

    Raises:
        ImageError: kind ``corrupt``: not all values are finite numbers.
    """
    values = samples if samples.dtype == np.uint8 else to_bytes(samples)
    if values.ndim == 2:
        return np.asarray(values, np.uint8)
    values = np.ascontiguousarray(values, np.uint8)
    if values.shape[2] == 4:
        grey = cv2.cvtColor(values, cv2.COLOR_BGRA2GRAY)
        return flatten(np.asarray(grey, np.uint8), np.asarray(cv2.extractChannel(values, 3), np.uint8))
    return np.asarray(cv2.cvtColor(values, cv2.COLOR_BGR2GRAY), np.uint8)


def to_bytes(samples: Samples) -> Plane:
    """uint8 of the same shape: integers or floats of the range that they use, rounded."""
    values = samples.astype(np.float64)
    if not np.isfinite(values).all():
        raise ImageError("corrupt", "holds values that are no finite numbers")
    low, high = float(values.min()), float(values.max())
    whole = next((top for top in RANGES if high <= top), 0)
    if low >= 0 and high >= LEAST_USED * whole > 0:
        low, high = 0.0, float(whole)
    return np.asarray(np.rint((values - low) * (255 / max(high - low, 1e-12))), np.uint8)


def flatten(grey: Plane, alpha: Plane) -> Plane:
    """Put an image with transparency onto a background.

    * Nothing is transparent: the colours alone.
    * The visible colours hardly differ: the ink is the alpha channel, drawn dark on light.
    * Else the colours tell: they are laid on their own median where what is visible fills its box (a card, a cut-out),
      on the far end of the grey scale where it does not (strokes on nothing).
    """
    least, most = cv2.minMaxLoc(alpha)[:2]
    if least == 255:
        return grey
    if most == 0:
        return np.full_like(grey, 255)
    mask = cv2.threshold(alpha, 127 if most > 127 else 0, 255, cv2.THRESH_BINARY)[1]
    total = np.cumsum(cv2.calcHist([grey], [0], mask, [256], [0, 256]))
    low, middle, high = np.searchsorted(total, total[-1] * np.array([0.05, 0.5, 0.95]))
    if high - low < SAME_GREY:
        return np.asarray(255 - alpha, np.uint8)
    _, _, width, height = cv2.boundingRect(mask)
    far_end = 255 if cv2.mean(grey, mask)[0] < 128 else 0
    background = np.full_like(grey, int(middle) if total[-1] > FILLED * width * height else far_end)
    covered = cv2.multiply(grey, alpha, scale=1 / 255)
    return np.asarray(cv2.add(covered, cv2.multiply(background, 255 - alpha, scale=1 / 255)), np.uint8)
