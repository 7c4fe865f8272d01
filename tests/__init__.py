"""Tests: the tree mirrors the package; `support` is what several of them share."""

import os
import sys

# Before NumPy is imported, in this process and those that it starts: the threads of its linear algebra wait busily for
# each other, which takes several times as long as the small products of tests.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# So many processes are started that compiled modules are kept even where the user keeps none.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
