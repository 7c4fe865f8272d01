"""From options to the frozen configuration of a run."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnist_pipeline.cli import options
from mnist_pipeline.errors import UsageError
from mnist_pipeline.files import decode_text

if TYPE_CHECKING:
    from mnist_pipeline.config import PipelineConfig

TRAINING = ("preset", "device", "seed", "epochs", "batch_size", "learning_rate", "max_minutes")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigOptions:
    """What was said about the configuration; named options win over ``--set``, that over the file."""

    preset: Annotated[str | None, options.setting("--preset", "Named training; see train --list-presets.")] = None
    dataset: Annotated[str | None, options.setting("--dataset", "mnist, digits or a description (.toml).")] = None
    source: Annotated[
        str | None, options.setting("--source", "Mirror of the dataset: directory, or https, s3 or file URL.")
    ] = None
    device: options.Device = None
    seed: Annotated[int | None, options.setting("--seed", "Seed of weights, order, augmentation.")] = None
    epochs: Annotated[int | None, typer.Option("--epochs", help="Passes over the train rows.")] = None
    batch_size: Annotated[int | None, typer.Option("--batch-size", help="Images per training step.")] = None
    learning_rate: Annotated[float | None, typer.Option("--learning-rate", help="Learning rate, or its peak.")] = None
    extra_images: Annotated[
        Path | None,
        options.setting(
            "--extra-images", "Labelled images to add to the own labels first: a folder per class.", metavar="DIR"
        ),
    ] = None
    max_minutes: Annotated[
        float | None,
        typer.Option("--max-minutes", help="Stop fitting after so many minutes, with the best weights so far."),
    ] = None
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="FIELD=VALUE", help="Any field, such as training.label_smoothing=0.1; repeatable."
        ),
    ] = None
    file: Annotated[Path | None, options.setting("--config", "TOML file with the same fields.", dir_okay=False)] = None
    registry: options.Location = None
    sign_key: Annotated[
        Path | None, options.setting("--sign-key", "PEM file of an Ed25519 key; signs the version.")
    ] = None

    def config(self, *, fall_back: bool = True) -> "PipelineConfig":
        """The configuration of a run; ``fall_back`` as for `layers`.

        Raises:
            UsageError: a field is unknown or its value is not allowed; or as `layers`.
        """
        from mnist_pipeline import config

        return config.parse_config(config.PipelineConfig, self.layers(fall_back=fall_back))

    def layers(self, *, fall_back: bool) -> dict[str, Any]:
        """What was said, by section and field.

        With ``fall_back``, which is for a person at a terminal, the embedded digits stand in for a dataset that nobody
        named and that cannot be reached.

        Raises:
            UsageError: the file cannot be read, or an assignment is not FIELD=VALUE.
        """
        from mnist_pipeline.config import merge_layers, parse_assignment
        from mnist_pipeline.data.locations import absolute_source

        fetch = {
            "dataset": self.dataset,
            "source": self.source if self.source is None else absolute_source(self.source),
            "extra_images": self.extra_images and str(self.extra_images.resolve()),
            "fall_back_to_digits": fall_back and self.dataset is None and self.source is None,
        }
        named = {
            "fetch": _given(fetch),
            "training": _given({name: getattr(self, name) for name in TRAINING}),
            "evaluation": _given({"device": self.device}),
            "publishing": self.publishing,
        }
        return merge_layers(_read(self.file), *map(parse_assignment, self.assignments or ()), named)

    @property
    def publishing(self) -> dict[str, Any]:
        """What was said about publishing."""
        return _given({"registry": self.registry, "sign_key": self.sign_key})


def _read(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    import tomllib

    try:
        return tomllib.loads(decode_text(file.read_bytes()))
    except OSError as error:
        raise UsageError(f"--config {file}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--config {file} is not a TOML file: {error}") from None


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
