"""What every stored or configured value is built on: the frozen record; and how one is made of what was said."""

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from mnist_pipeline.errors import UsageError


class Record(BaseModel):
    """A frozen part of a stored file; NaN and infinity are refused."""

    # Built when it is first used: a command uses few of them, and building takes longer than importing.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)


class Config(Record):
    """A frozen part of the configuration; the docstrings of its fields are their descriptions."""

    model_config = ConfigDict(use_attribute_docstrings=True)


ConfigT = TypeVar("ConfigT", bound=Config)


def merge_layers(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """One nested mapping; later layers win over earlier ones, field by field."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for name, value in layer.items():
            both = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
            merged[name] = merge_layers(merged[name], value) if both else value
    return merged


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
        raise UsageError(_first_refusal(error)) from None


def _first_refusal(error: ValidationError) -> str:
    problems = error.errors(include_url=False)
    first = problems[0]
    field = ".".join(map(str, first["loc"]))
    unknown = first["type"] == "extra_forbidden"
    what = "is not a field of the configuration" if unknown else first["msg"].removeprefix("Value error, ")
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{field}: {what}, found {first['input']!r}{more}"


def first_problem(error: ValidationError) -> str:
    """The first field that is not acceptable, and why, in one line."""
    first = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else first["msg"]
