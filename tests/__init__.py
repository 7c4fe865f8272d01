"""Tests: the tree mirrors the package; `support` is what several of them share."""
