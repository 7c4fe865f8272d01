"""From a labelled image sprite to a proven, published ONNX classifier.

Here is only what every room shares, and what costs nothing to import: the form that MNIST gives an image, which
models take and tell nothing else, the few words that options are made of, and how many processes there may be.
"""

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

__version__ = "0.1.0"

SIDE: Final = 28
"""Pixels along each edge of an image."""
INK_SIDE: Final = 20
"""Pixels of the longer side of the ink, whose centre of mass lies at pixel `SIDE` / 2."""
CLASSES: Final = 10
"""Number of classes."""
DIGIT_NAMES: Final = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
"""Names of the classes where they are the digits."""
NO_DIGIT: Final = "none"
"""How people label an image that shows no digit."""

Device = Literal["auto", "cpu", "gpu"]
"""Where to compute, as it is asked for."""
UsedDevice = Literal["cpu", "gpu"]
"""Where it was computed."""
PreprocessMode = Literal["auto", "mnist", "resize", "none"]
"""How an image is brought into MNIST's form (`ScoreConfig.preprocess`)."""

MAX_PIXELS: Final = 100_000_000
"""Of the largest image that is decoded, where nothing else is said."""
MAX_BYTES: Final = 256_000_000
"""Of the largest file that is read, where nothing else is said."""

LEAN_ENVIRONMENT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "PYDANTIC_DISABLE_PLUGINS": "__all__",
    }
)
"""Variables of a process that is one for each core, or must start fast: threads of the numerical libraries would be in
the way, and to look for plugins of pydantic is to read what every installed package says of itself."""


def usable_cpus() -> int:
    """CPUs that this process may run on: so many processes are worth having where nobody says."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
