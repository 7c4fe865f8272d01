"""From what was said about a configuration, as nested mappings, to checked values."""

import tomllib
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import ValidationError

from mnist_pipeline.errors import UsageError
from mnist_pipeline.schema import Config

ConfigT = TypeVar("ConfigT", bound=Config)


def merge_layers(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """One nested mapping; later layers win over earlier ones, field by field."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for name, value in layer.items():
            both = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
            merged[name] = merge_layers(merged[name], value) if both else value
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


def parse_config(
    kind: type[ConfigT], *layers: Mapping[str, Any], unknown: Literal["forbid", "ignore"] = "forbid"
) -> ConfigT:
    """The values as a config of this kind.

    Args:
        kind: its class.
        layers: values by field, nested; later layers win over earlier ones.
        unknown: what becomes of fields that the class does not have; an older version may have stored some.

    Raises:
        UsageError: a field is unknown or its value is not allowed; names the first one.
    """
    try:
        return kind.model_validate(merge_layers(*layers), extra=unknown)
    except ValidationError as error:
        raise UsageError(_first_problem(error)) from None


def _first_problem(error: ValidationError) -> str:
    problems = error.errors(include_url=False)
    first = problems[0]
    field = ".".join(map(str, first["loc"]))
    unknown = first["type"] == "extra_forbidden"
    what = "is not a field of the configuration" if unknown else first["msg"].removeprefix("Value error, ")
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{field}: {what}, found {first['input']!r}{more}"
