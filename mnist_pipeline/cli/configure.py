"""From options to the frozen configuration of a run."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mnist_pipeline import Device
from mnist_pipeline.config import PipelineConfig, build_config, merge_layers, parse_assignment
from mnist_pipeline.errors import UsageError
from mnist_pipeline.files import decode_text


def configure(**options: Any) -> PipelineConfig:
    """The configuration of a run; arguments as `read_layers`.

    Raises:
        UsageError: a field is unknown or its value is not allowed.
    """
    return build_config(read_layers(**options))


def read_layers(
    *,
    file: Path | None = None,
    assignments: Sequence[str] | None = None,
    dataset: str | None = None,
    source: str | None = None,
    extra_images: Path | None = None,
    device: Device | None = None,
    training: Mapping[str, Any] | None = None,
    publishing: Mapping[str, Any] | None = None,
    fall_back: bool = True,
) -> dict[str, Any]:
    """What was said about the configuration; named options win over ``--set``, that over the file.

    With ``fall_back``, which is for a person at a terminal, the embedded digits stand in for a dataset that nobody
    named and that cannot be reached.

    Raises:
        UsageError: the file cannot be read, or an assignment is not FIELD=VALUE.
    """
    from mnist_pipeline.data.locations import absolute_source

    where = {"device": device}
    fetch = {
        "dataset": dataset,
        "source": source if source is None else absolute_source(source),
        "extra_images": extra_images and str(extra_images.resolve()),
        "fall_back_to_digits": fall_back and dataset is None and source is None,
    }
    named = {
        "fetch": given(fetch),
        "training": given({**(training or {}), **where}),
        "evaluation": given(where),
        "publishing": given(publishing or {}),
    }
    return merge_layers(_read(file), *map(parse_assignment, assignments or ()), named)


def _read(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        return tomllib.loads(decode_text(file.read_bytes()))
    except OSError as error:
        raise UsageError(f"--config {file}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--config {file} is not a TOML file: {error}") from None


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that were given, without those that are None."""
    return {name: value for name, value in values.items() if value is not None}
