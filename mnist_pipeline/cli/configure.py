"""From options to the frozen configuration of a run."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mnist_pipeline.cli.options import DeviceName
from mnist_pipeline.config import PipelineConfig, build_config, parse_assignment
from mnist_pipeline.errors import UsageError


def configure(
    *,
    file: Path | None = None,
    assignments: Sequence[str] | None = None,
    dataset: str | None = None,
    source: str | None = None,
    device: DeviceName | None = None,
    training: Mapping[str, Any] | None = None,
    publishing: Mapping[str, Any] | None = None,
) -> PipelineConfig:
    """The configuration of a run; named options win over ``--set``, that over the file, that over the preset.

    Raises:
        UsageError: a field is unknown or its value is not allowed.
    """
    where = {"device": device.value if device else None}
    # Only a person at a terminal, who named no dataset, is helped with another one.
    fetch = {"dataset": dataset, "source": source, "fall_back_to_digits": dataset is None and source is None}
    named = {
        "fetch": given(fetch),
        "training": given({**(training or {}), **where}),
        "evaluation": given(where),
        "publishing": given(publishing or {}),
    }
    return build_config(_read(file), *map(parse_assignment, assignments or ()), named)


def _read(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"--config {file}: {error}") from None


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that were given, without those that are None."""
    return {name: value for name, value in values.items() if value is not None}
