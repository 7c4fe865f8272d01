"""Labelled images of one's own."""
