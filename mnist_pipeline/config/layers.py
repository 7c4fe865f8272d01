"""Assignments of the command line, as layers of a configuration."""

import tomllib
from typing import Any

from mnist_pipeline.errors import UsageError


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
