"""The named trainings in words."""

from typing import TYPE_CHECKING, Any

from mnist_pipeline.cli.tables import Table
from mnist_pipeline.cli.terminal import Terminal
from mnist_pipeline.runs.wording import plain_percent

if TYPE_CHECKING:
    from mnist_pipeline.config import AugmentationConfig, Measured, TrainConfig

COLUMNS = ("preset", "default", "network", "optimizer", "schedule", "rows", "augmentation", "expected")


def show_presets(terminal: Terminal) -> None:
    """Tell what the presets are, and what to expect of them."""
    from mnist_pipeline.config import DEFAULT_PRESET, MACHINE, MEASURED, PRESETS

    rows = [_describe(config, MEASURED[name], default=name == DEFAULT_PRESET) for name, config in PRESETS.items()]
    terminal.result(
        {"presets": [_as_json(config, MEASURED[name], MACHINE) for name, config in PRESETS.items()]},
        table=Table(COLUMNS, rows, needed=len(COLUMNS)),
    )
    terminal.say(f"expected is measured on {MACHINE}")


def _describe(config: "TrainConfig", expected: "Measured", *, default: bool) -> tuple[str, ...]:
    """A text for each of `COLUMNS`."""
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


def _as_json(config: "TrainConfig", expected: "Measured", machine: str) -> dict[str, Any]:
    """Every field of the config, the number of parameters, and what to expect."""
    figures = {"accuracy": expected.accuracy, "sd": expected.sd, "seeds": expected.seeds}
    measured = figures | {"fit_seconds": expected.fit_seconds, "machine": machine}
    return config.model_dump(mode="json") | {"parameters": expected.parameters, "expected": measured}


def _optimizer(config: "TrainConfig") -> str:
    parts = {
        f"Nesterov momentum {config.momentum:g}": config.momentum,
        f"weight decay {config.weight_decay:g}": config.weight_decay,
        f"label smoothing {config.label_smoothing:g}": config.label_smoothing,
        f"weights averaged over {config.average_batches} batches": config.average_batches,
    }
    return ", ".join([config.optimizer, *(part for part, takes_part in parts.items() if takes_part)])


def _schedule(config: "TrainConfig") -> str:
    rate = f"learning rate {config.learning_rate:g} {config.schedule}"
    warmup = f" after {config.warmup * 100:.0f} % of warm-up" if config.warmup else ""
    length = f"{config.max_batches} batches" if config.max_batches else f"{config.epochs} epochs in batches"
    return f"{rate}{warmup}; {length} of {config.batch_size}"


def _rows(config: "TrainConfig") -> str:
    fitted = "all but" if config.train_rows is None else f"{config.train_rows:,} and"
    return f"{fitted} {config.validation_rows:,} for validation"


def _augmentation(augmentation: "AugmentationConfig") -> str:
    units = {"rotation": "°", "shift": " px", "zoom": "", "shear": "°", "elastic": " px", "noise": ""}
    values = augmentation.model_dump()
    return ", ".join(f"{name} {values[name]:g}{unit}" for name, unit in units.items() if values[name]) or "none"


def _expected(expected: "Measured") -> str:
    minutes, seconds = divmod(round(expected.fit_seconds), 60)
    took = f"fitted in {f'{minutes} min ' if minutes else ''}{seconds} s"
    spread = f"mean of {expected.seeds} seeds, sd {plain_percent(expected.sd or 0)}"
    over = "one seed" if expected.seeds == 1 else spread
    return f"{plain_percent(expected.accuracy)} of the test images ({over}), {took}"
