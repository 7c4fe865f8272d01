"""Options that take one of a few words. Loads nothing, so that ``--help`` and scoring workers can have them."""

from typing import Literal

Device = Literal["auto", "cpu", "gpu"]
PreprocessMode = Literal["auto", "mnist", "resize", "none"]
