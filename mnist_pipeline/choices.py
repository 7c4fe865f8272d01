"""Options that take one of a few words. Here and not in `config`, so that a scoring worker need not load that."""

from typing import Literal

Device = Literal["auto", "cpu", "gpu"]
PreprocessMode = Literal["auto", "mnist", "resize", "none"]
