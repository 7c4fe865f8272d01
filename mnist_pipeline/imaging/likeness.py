"""Whether two pictures are the same one: a copy, a crop with the digit whole, or saved again as another format. Pure.

Ink is what differs from the picture's middle grey; its box is the same in a copy and in a crop. Two boxes are compared
at their own resolution, moved over each other by a few pixels (normalised cross-correlation). Of MNIST's digits on
drawn pages, crops saved as JPEG of quality 40 reached 0.995 and more, the most alike of other digits 0.98 in one of a
hundred cases.

A picture that is drawn from a dataset's row is found at the row's size (`shrinks_to`): of MNIST's test rows, 93 to
100 % as PNG or JPEG of any polarity, as they are or enlarged pixel by pixel, half to three quarters of those that were
enlarged smoothly and printed on noisy paper; of MNIST's train rows, 1 or 2 in 1,000 are taken for one.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.imaging.planes import Plane

ALIKE = 0.985
"""Least correlation of two pictures that count as one."""
SHRUNK_ALIKE = 0.975
"""Likewise of a row and a picture that is brought to its size."""
INK = 0.35
"""Of the greatest difference from the middle grey, at least this share is ink."""
SLACK = 3
"""Pixels by which two boxes may be moved against each other."""
SMALL = 16
LOOKED_AT = 20
"""Of the known pictures, at most so many of the most similar outlines are compared in full ..."""
SIMILAR = 0.9
"""... and only those with at least this correlation."""


def ink_box(plane: Plane) -> Plane:
    """The part of a plane, uint8 [h, w], that holds its ink; the whole plane where it holds no ink."""
    difference = np.abs(plane.astype(np.int16) - int(np.median(plane)))
    rows, columns = np.nonzero(difference > INK * difference.max())
    if not len(rows):
        return plane
    return plane[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def outline(box: Plane) -> NDArray[np.uint8]:
    """uint8 [16, 16]: an ink box, small; similar pictures have similar ones."""
    small = cv2.resize(box, (SMALL, SMALL), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def read_outline(text: str) -> NDArray[np.uint8]:
    """uint8 [16, 16] from its hex digits."""
    return np.frombuffer(bytes.fromhex(text), np.uint8).reshape(SMALL, SMALL)


def most_similar(one: NDArray[np.uint8], others: NDArray[np.float32]) -> list[int]:
    """Which outlines, given as `directions`, are similar to ``one``, uint8 [16, 16]; most similar first."""
    similarity = others @ directions(one[np.newaxis])[0]
    nearest = np.argsort(-similarity, kind="stable")[:LOOKED_AT]
    return [int(place) for place in nearest if similarity[place] >= SIMILAR or not others[place].any()]


def are_alike(box: Plane, other: Plane) -> bool:
    """Whether two ink boxes are of one and the same picture."""
    if box.size > other.size:
        box, other = other, box
    height, width = (max(0, small - large) + SLACK for small, large in zip(box.shape, other.shape, strict=True))
    padded = cv2.copyMakeBorder(other, height, height, width, width, cv2.BORDER_REPLICATE)
    # Much larger ink is another picture, and costs much.
    if other.size > 4 * box.size:
        return False
    if box.std() == 0 or other.std() == 0:
        return bool(box.std() == other.std() and box.shape == other.shape)
    return float(cv2.matchTemplate(padded, box, cv2.TM_CCOEFF_NORMED).max()) >= ALIKE


def shrinks_to(box: Plane, row: Plane) -> bool:
    """Whether an ink box is the picture in another one, which is that of a row: light ink, 28 pixels at most."""
    height, width = row.shape
    if abs(box.shape[1] * height / box.shape[0] - width) > SLACK or not row.std():
        return False
    small = cv2.resize(box, (width, height), interpolation=cv2.INTER_AREA)
    padded = cv2.copyMakeBorder(row, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    return float(cv2.matchTemplate(padded, small, cv2.TM_CCOEFF_NORMED).max()) >= SHRUNK_ALIKE


def correlation(one: Plane, other: Plane) -> float:
    """Of two images in MNIST's form, at the best shift by at most a pixel."""
    padded = cv2.copyMakeBorder(one, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    return float(cv2.matchTemplate(padded, other, cv2.TM_CCOEFF_NORMED).max())


def light_ink(plane: Plane) -> Plane:
    """The plane, inverted where its ink is darker than its middle grey."""
    middle = int(np.median(plane))
    return 255 - plane if middle - int(plane.min()) > int(plane.max()) - middle else plane


def directions(outlines: NDArray[np.uint8]) -> NDArray[np.float32]:
    """float32 [n, 256], of mean 0 and length 1: outlines, uint8 [n, 16, 16], ready to be compared."""
    flat = outlines.reshape(len(outlines), SMALL * SMALL).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.asarray(flat / np.maximum(length, 1e-6), np.float32)
