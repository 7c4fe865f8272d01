"""Batch scoring of images as people have them."""
