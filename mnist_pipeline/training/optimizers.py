"""The optimizer and its learning rate, from the config."""

import math
from typing import Any

from mnist_pipeline.config import TrainConfig
from mnist_pipeline.keras_backend import load_keras
from mnist_pipeline.training.architectures import OUTPUT_LAYER

WARMUP_START = 0.04
"""Share of the peak at which a warm-up begins."""


def build_optimizer(config: TrainConfig, steps: int) -> Any:
    """A Keras optimizer whose learning rate runs its whole schedule in ``steps`` steps."""
    optimizers = load_keras().optimizers
    common = {"learning_rate": build_schedule(config, steps), "weight_decay": config.weight_decay or None}
    if config.optimizer == "sgd":
        optimizer = optimizers.SGD(momentum=float(config.momentum), nesterov=config.momentum > 0, **common)
    elif config.optimizer == "muon":
        from mnist_pipeline.training.muon import Muon

        optimizer = Muon(adam_weight_decay=config.weight_decay or None, exclude_layers=[OUTPUT_LAYER], **common)
    else:
        optimizer = {"adam": optimizers.Adam, "rmsprop": optimizers.RMSprop}[config.optimizer](**common)
    if config.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def learning_rate(config: TrainConfig, steps: int, step: int) -> float:
    """The learning rate of the 0-based ``step`` of ``steps``."""
    rate = build_schedule(config, steps)
    return float(rate(step)) if callable(rate) else float(rate)


def build_schedule(config: TrainConfig, steps: int) -> Any:
    """The learning rate as a function of the step; a number where it is constant."""
    keras = load_keras()
    warmup = math.floor(config.warmup * steps)
    if config.schedule == "constant":
        return config.learning_rate
    if not warmup:
        return keras.optimizers.schedules.CosineDecay(config.learning_rate, steps)
    return keras.optimizers.schedules.CosineDecay(
        config.learning_rate * WARMUP_START, steps - warmup, warmup_target=config.learning_rate, warmup_steps=warmup
    )
