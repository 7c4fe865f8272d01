"""The named trainings in words."""

from typing import Any

from mnist_pipeline.config import AugmentationConfig, TrainConfig
from mnist_pipeline.config.presets import Measured
from mnist_pipeline.runs.wording import plain_percent

SIDES = ("preset", "default", "network", "optimizer", "schedule", "rows", "augmentation", "expected")
"""What `describe` tells of a preset."""


def describe(config: TrainConfig, expected: Measured, *, default: bool) -> tuple[str, ...]:
    """One preset in words, a text for each of `SIDES`."""
    averaged = f", {config.members} of them averaged" if config.members > 1 else ""
    averaged += f", {config.views} views of each image averaged" if config.views > 1 else ""
    return (
        config.preset,
        "yes" if default else "",
        f"{config.architecture}{averaged}; {expected.parameters:,} parameters",
        _optimizer(config),
        _schedule(config),
        _rows(config),
        _augmentation(config.augmentation),
        _expected(expected),
    )


def as_json(config: TrainConfig, expected: Measured, machine: str) -> dict[str, Any]:
    """Every field of the config, the number of parameters, and what to expect."""
    figures = {"accuracy": expected.accuracy, "sd": expected.sd, "seeds": expected.seeds}
    measured = figures | {"fit_seconds": expected.fit_seconds, "machine": machine}
    return config.model_dump(mode="json") | {"parameters": expected.parameters, "expected": measured}


def _optimizer(config: TrainConfig) -> str:
    parts = {
        f"Nesterov momentum {config.momentum:g}": config.momentum,
        f"weight decay {config.weight_decay:g}": config.weight_decay,
        f"label smoothing {config.label_smoothing:g}": config.label_smoothing,
        f"weights averaged over {config.average_batches} batches": config.average_batches,
    }
    return ", ".join([config.optimizer, *(part for part, takes_part in parts.items() if takes_part)])


def _schedule(config: TrainConfig) -> str:
    rate = f"learning rate {config.learning_rate:g} {config.schedule}"
    warmup = f" after {config.warmup * 100:.0f} % of warm-up" if config.warmup else ""
    length = f"{config.max_batches} batches" if config.max_batches else f"{config.epochs} epochs in batches"
    return f"{rate}{warmup}; {length} of {config.batch_size}"


def _rows(config: TrainConfig) -> str:
    fitted = "all but" if config.train_rows is None else f"{config.train_rows:,} and"
    return f"{fitted} {config.validation_rows:,} for validation"


def _augmentation(augmentation: AugmentationConfig) -> str:
    units = {"rotation": "°", "shift": " px", "zoom": "", "shear": "°", "elastic": " px", "noise": ""}
    values = augmentation.model_dump()
    return ", ".join(f"{name} {values[name]:g}{unit}" for name, unit in units.items() if values[name]) or "none"


def _expected(expected: Measured) -> str:
    minutes, seconds = divmod(round(expected.fit_seconds), 60)
    took = f"fitted in {f'{minutes} min ' if minutes else ''}{seconds} s"
    spread = f"mean of {expected.seeds} seeds, sd {plain_percent(expected.sd or 0)}"
    over = "one seed" if expected.seeds == 1 else spread
    return f"{plain_percent(expected.accuracy)} of the test images ({over}), {took}"
