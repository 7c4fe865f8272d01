import numpy as np
from hypothesis import given
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from mnist_pipeline.imaging.components import label


@given(arrays.arrays(bool, arrays.array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_pieces_are_those_of_scipy(mask):
    pieces = label(mask)
    expected, count = ndimage.label(mask, np.ones((3, 3)))
    assert len(pieces) == count
    assert [piece.area for piece in pieces] == sorted((piece.area for piece in pieces), reverse=True)
    together = np.zeros(mask.shape, int)
    for piece in pieces:
        assert piece.mask.shape == (piece.height, piece.width)
        assert piece.mask.any(axis=0).all() or piece.height > 1
        (number,) = set(expected[piece.mask_slice][piece.mask].tolist())
        assert piece.area == int((expected == number).sum())
        together[piece.mask_slice] += piece.mask
    assert (together == mask).all()
