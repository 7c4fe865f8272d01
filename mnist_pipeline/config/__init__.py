"""The configuration: its fields (``schema``, ``training``), the named trainings (``presets``), and its layers."""

from collections.abc import Mapping
from types import MappingProxyType

from mnist_pipeline.config.layers import parse_assignment
from mnist_pipeline.config.presets import DEFAULT_PRESET, MACHINE, MEASURED, PRESET_VALUES, Measured
from mnist_pipeline.config.schema import (
    EvaluateConfig,
    ExportConfig,
    FetchConfig,
    GateConfig,
    Name,
    PipelineConfig,
    PublishConfig,
)
from mnist_pipeline.config.training import AugmentationConfig, TrainConfig
from mnist_pipeline.schema import merge_layers, parse_config

PRESETS: Mapping[str, TrainConfig] = MappingProxyType({name: TrainConfig(preset=name) for name in PRESET_VALUES})
"""Name -> the training that it stands for."""

__all__ = [
    "DEFAULT_PRESET",
    "MACHINE",
    "MEASURED",
    "PRESETS",
    "PRESET_VALUES",
    "AugmentationConfig",
    "EvaluateConfig",
    "ExportConfig",
    "FetchConfig",
    "GateConfig",
    "Measured",
    "Name",
    "PipelineConfig",
    "PublishConfig",
    "TrainConfig",
    "merge_layers",
    "parse_assignment",
    "parse_config",
]
