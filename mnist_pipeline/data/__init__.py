"""Datasets: download, decode, split."""
