"""From what was said to a checked configuration, or to one line that names the field."""

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import ValidationError

from mnist_pipeline.config.fields import Config
from mnist_pipeline.config.layers import merge_layers
from mnist_pipeline.config.schema import PipelineConfig
from mnist_pipeline.errors import UsageError

ConfigT = TypeVar("ConfigT", bound=Config)


def build_config(*layers: Mapping[str, Any]) -> PipelineConfig:
    """The configuration of a run from nested mappings; later layers win over earlier ones.

    ``training.preset`` names the values that the other training fields start from.

    Raises:
        UsageError: a field is unknown or its value is not allowed; names the first one.
    """
    return parse_config(PipelineConfig, merge_layers(*layers))


def restore_config(stored: Mapping[str, Any], changes: Mapping[str, Any]) -> PipelineConfig:
    """The configuration that an earlier run stored, with changes.

    Fields that this version does not have are left out: the run may be older, and what they decided is done.

    Raises:
        UsageError: a value is not allowed; names the first one.
    """
    return parse_config(PipelineConfig, merge_layers(stored, changes), unknown="ignore")


def parse_config(
    kind: type[ConfigT], values: Mapping[str, Any], *, unknown: Literal["forbid", "ignore"] = "forbid"
) -> ConfigT:
    """The values as a config of this kind.

    Args:
        kind: its class.
        values: by field, nested.
        unknown: what becomes of fields that the class does not have.

    Raises:
        UsageError: a field is unknown or its value is not allowed; names the first one.
    """
    try:
        return kind.model_validate(values, extra=unknown)
    except ValidationError as error:
        raise UsageError(_first_problem(error)) from None


def _first_problem(error: ValidationError) -> str:
    problems = error.errors(include_url=False)
    first = problems[0]
    field = ".".join(str(part) for part in first["loc"])
    what = (
        "is not a field of the configuration"
        if first["type"] == "extra_forbidden"
        else first["msg"].removeprefix("Value error, ")
    )
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{field}: {what}, found {first['input']!r}{more}"
