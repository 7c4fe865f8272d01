"""Values that are one of a few words. Loads nothing, so that ``--help`` and scoring workers can have them."""

from typing import Literal

Device = Literal["auto", "cpu", "gpu"]
"""Where to compute, as it is asked for."""
UsedDevice = Literal["cpu", "gpu"]
"""Where it was computed."""
PreprocessMode = Literal["auto", "mnist", "resize", "none"]
"""How an image is brought into MNIST's form (`ScoreConfig.preprocess`)."""
