"""Tests: the tree mirrors the package; `support` is what several of them share."""

import os

# Before NumPy is imported, in this process and those that it starts: the threads of its linear algebra wait busily for
# each other, which takes several times as long as the small products of tests.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
