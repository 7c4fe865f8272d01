"""The model summary: layer, output shape, parameters, trainable."""

from collections.abc import Iterator, Sequence
from typing import Any

from mnist_pipeline.runs.training_history import Layer


def summarise(model: Any) -> list[Layer]:
    """One row for each layer that computes, in order; those of an ensemble's members by ``member/layer``."""
    return [
        Layer(
            name=name,
            kind=type(layer).__name__,
            output_shape=list(layer.output.shape),
            parameters=layer.count_params(),
            trainable=bool(layer.trainable and layer.trainable_weights),
        )
        for name, layer in _flat(model, "")
    ]


COLUMNS = ("layer", "kind", "output shape", "parameters", "trainable")
"""What `rows_of` tells of a layer."""


def rows_of(layers: Sequence[Layer]) -> list[tuple[str, ...]]:
    """The summary as text, a row for each layer."""
    return [
        (row.name, row.kind, str(tuple(row.output_shape)), f"{row.parameters:,}", "yes" if row.trainable else "no")
        for row in layers
    ]


def total_of(layers: Sequence[Layer]) -> str:
    """The last line of a summary."""
    return f"{sum(row.parameters for row in layers):,} parameters in all"


def _flat(model: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _flat(layer, f"{prefix}{layer.name}/")
        elif type(layer).__name__ != "InputLayer":
            yield prefix + layer.name, layer
