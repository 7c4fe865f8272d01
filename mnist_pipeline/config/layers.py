"""What was said about a configuration, as nested mappings; later layers win over earlier ones, field by field. Pure."""

import tomllib
from collections.abc import Mapping
from typing import Any

from mnist_pipeline.errors import UsageError


def merge_layers(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """One nested mapping; later layers win over earlier ones, field by field."""
    merged: dict[str, Any] = {}
    for layer in layers:
        merged = _merge(merged, layer)
    return merged


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = _merge(merged[name], value) if both else value
    return merged


def parse_assignment(text: str) -> dict[str, Any]:
    """``training.epochs=3`` as ``{"training": {"epochs": 3}}``; the value is a TOML value, else text.

    Raises:
        UsageError: the text is not of that form.
    """
    field, equals, value = text.partition("=")
    names = field.strip().split(".")
    if not equals or len(names) < 2 or not all(names):
        raise UsageError(f"--set {text}: not of the form section.field=value, such as training.epochs=3")
    try:
        nested: Any = tomllib.loads(f"value = {value}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        nested = value
    for name in reversed(names):
        nested = {name: nested}
    return dict(nested)
