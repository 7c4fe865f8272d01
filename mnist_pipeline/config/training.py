"""The configuration of a training: its fields are those of a preset, but for what is given."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, GetJsonSchemaHandler, ValidationInfo, field_validator, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from mnist_pipeline import Device
from mnist_pipeline.config.presets import DEFAULT_PRESET, PRESET_VALUES
from mnist_pipeline.schema import Config, merge_layers


class OfPreset(Config):
    """Fields whose values a preset may decide."""

    OWN: ClassVar[frozenset[str]] = frozenset()
    """Fields that no preset decides."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Without defaults where a preset decides: a form that filled them in would undo the preset."""
        found = handler.resolve_ref_schema(handler(schema))
        for name in found["properties"].keys() - cls.OWN:
            found["properties"][name].pop("default", None)
        return found


class AugmentationConfig(OfPreset):
    """Random changes of the training images, drawn anew for every batch. Zero means no change."""

    rotation: float = Field(default=0, ge=0, le=45)
    """Largest rotation to either side, degrees."""
    shift: float = Field(default=0, ge=0, le=8)
    """Largest shift along each axis, pixels."""
    zoom: float = Field(default=0, ge=0, le=0.5)
    """Largest relative change of size."""
    shear: float = Field(default=0, ge=0, le=45)
    """Largest shear to either side, degrees."""
    elastic: float = Field(default=0, ge=0, le=3)
    """Smooth local displacements: standard deviation of a pixel's along each axis, pixels."""
    noise: float = Field(default=0, ge=0, le=1)
    """Gaussian noise on half of the images: largest standard deviation, where 1 is full ink."""

    @property
    def moves_something(self) -> bool:
        return any((self.rotation, self.shift, self.zoom, self.shear, self.elastic))

    @property
    def changes_something(self) -> bool:
        return self.moves_something or self.noise > 0


class TrainConfig(OfPreset):
    """One training, completely described."""

    OWN = frozenset({"preset", "max_minutes", "precision", "strategy", "seed", "device"})

    preset: str = Field(default=DEFAULT_PRESET, json_schema_extra={"enum": list(PRESET_VALUES)})
    """The named training whose values the fields have that are not given; the defaults below are the codelab's."""
    architecture: Literal["codelab", "convnet", "dense", "compact"] = "codelab"
    """The network: the codelab's CNN, the two of TensorFlow.js' mnist example, or a modern small CNN."""
    train_rows: int | None = Field(default=None, ge=1)
    """How many train rows to fit, of those that are not validation rows; None means all."""
    validation_rows: int = Field(default=5_000, ge=0)
    """How many train rows to hold out; capped at a fifth of the train rows."""
    members: int = Field(default=1, ge=1, le=16)
    """Networks that are trained one after the other and averaged inside the saved model."""
    views: Literal[1, 5] = 1
    """How often the saved model looks at an image; 5: also shifted by a pixel to each side, answers averaged."""
    optimizer: Literal["adam", "sgd", "rmsprop", "muon"] = "adam"
    """The optimizer; muon: for kernels, adam for the output layer and all that is no matrix."""
    momentum: float = Field(default=0, ge=0, lt=1)
    """Nesterov momentum; sgd only."""
    weight_decay: float = Field(default=0, ge=0, le=1)
    """Decoupled weight decay of the kernels, times the learning rate in each step."""
    learning_rate: float = Field(default=0.001, gt=0, le=10)
    """Learning rate, or its peak where there is a schedule."""
    schedule: Literal["constant", "cosine"] = "constant"
    """How the learning rate moves over the training; cosine: from its peak to zero."""
    warmup: float = Field(default=0, ge=0, lt=1)
    """Share of a cosine schedule in which the learning rate first rises to its peak."""
    batch_size: int = Field(default=512, ge=1, le=65_536)
    """Images per step."""
    epochs: int = Field(default=10, ge=1, le=10_000)
    """Passes over the train rows."""
    min_batches: int = Field(default=0, ge=0)
    """Go on for more whole epochs until this many batches, so that few rows are enough; 0 where epochs are named."""
    max_batches: int | None = Field(default=None, ge=1)
    """Stop after this many batches in all; None means after the epochs."""
    validate_every_batches: int | None = Field(default=None, ge=1)
    """Measure the validation rows every so many batches as well; None means after each epoch."""
    label_smoothing: float = Field(default=0, ge=0, lt=1)
    """Share of each label that is spread over all classes."""
    average_batches: int = Field(default=0, ge=0)
    """Keep moving averages of the weights over about so many batches; 0: the weights themselves."""
    augmentation: AugmentationConfig = AugmentationConfig()
    """Random changes of the training images."""
    drawn_share: float = Field(default=0, ge=0, le=1)
    """Digits by other hands and pens that join the train rows, as a share of them; only where classes are digits."""
    own_repeats: int = Field(default=20, ge=1, le=1_000)
    """How often an epoch shows each own image, so that a few count among many rows; less often where own images would
    outnumber these."""
    max_minutes: float | None = Field(default=None, gt=0)
    """Stop fitting after so many minutes in all, with the best weights so far; None means no limit."""
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    """Number format of the computations; weights and the saved model are float32 in each."""
    strategy: Literal["single", "mirrored"] = "single"
    """One device, or every one of its kind with equal shares of each batch (TensorFlow only)."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Seed of weights, order and augmentation."""
    device: Device = "auto"
    """Where to train; gpu fails at once where none works."""

    @model_validator(mode="before")
    @classmethod
    def _start_from_preset(cls, values: Any) -> Any:
        """Fields that are not given have the preset's values, wherever the config comes from."""
        if not isinstance(values, Mapping) or values.get("preset", DEFAULT_PRESET) not in PRESET_VALUES:
            return values
        base = dict(PRESET_VALUES[values.get("preset", DEFAULT_PRESET)])
        if "epochs" in values:
            base.pop("min_batches", None)  # who names the epochs means them
        return merge_layers(base, values)

    @field_validator("preset")
    @classmethod
    def _is_preset(cls, value: str) -> str:
        if value not in PRESET_VALUES:
            raise ValueError(f"is not a preset; there are: {', '.join(PRESET_VALUES)}")
        return value

    @field_validator("momentum", "warmup")
    @classmethod
    def _takes_part(cls, value: float, info: ValidationInfo) -> float:
        """A field that would do nothing is refused, not ignored."""
        other, needed = {"momentum": ("optimizer", "sgd"), "warmup": ("schedule", "cosine")}[info.field_name or ""]
        if value and info.data.get(other, needed) != needed:
            raise ValueError(f"needs {other}={needed}, which is {info.data[other]}")
        return value
