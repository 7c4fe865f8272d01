"""Values that are one of a few words, and limits. Loads nothing: ``--help`` and workers can have them."""

from typing import Final, Literal

Device = Literal["auto", "cpu", "gpu"]
"""Where to compute, as it is asked for."""
UsedDevice = Literal["cpu", "gpu"]
"""Where it was computed."""
PreprocessMode = Literal["auto", "mnist", "resize", "none"]
"""How an image is brought into MNIST's form (`ScoreConfig.preprocess`)."""

MAX_MEGAPIXELS: Final = 100.0
"""Largest image that is decoded, millions of pixels, unless another limit is set."""
MAX_MEGABYTES: Final = 256.0
"""Largest image file that is read, millions of bytes, unless another limit is set."""
