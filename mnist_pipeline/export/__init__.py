"""Keras -> ONNX: conversion, canonical form, and the proof that both models say the same.

No other room imports tf2onnx.
"""

from mnist_pipeline.export.step import export_model

__all__ = ["export_model"]
