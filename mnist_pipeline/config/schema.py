"""What each step does, as frozen, validated values.

A field's description is what the command line, Prefect's parameter form and the stored
``config.json`` show. Nothing here reads the environment or the disk.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from mnist_pipeline import MAX_MEGABYTES, MAX_MEGAPIXELS, Device, PreprocessMode
from mnist_pipeline.config.layers import merge_layers
from mnist_pipeline.config.presets import DEFAULT_PRESET, PRESET_VALUES

Seed = Annotated[int, Field(ge=0, lt=2**31)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(gt=0)]
Policy = Literal["better", "significant", "not_worse"]
# One path segment that means the same on every file system and in every URL.
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]


class Config(BaseModel):
    """A frozen value: unknown fields, NaN and infinity are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class FetchConfig(Config):
    """Where the dataset comes from and how patient the download is."""

    dataset: str = "mnist"
    """Name of a built-in dataset (mnist, digits) or path of a description (.toml)."""
    source: str | None = None
    """Mirror to read instead of the official source: https, s3 or file URL of a folder, or a directory."""
    extra_images: Path | None = None
    """Folder with a folder of labelled images per class, which join the train rows; None means the dataset alone."""
    fall_back_to_digits: bool = False
    """Where the official source cannot be reached and no source is named: use the embedded digits, loudly."""
    connect_timeout: Seconds = 10
    """Seconds to wait for a connection."""
    read_timeout: Seconds = 30
    """Seconds to wait for the next bytes."""
    deadline: Seconds = 600
    """Seconds for the whole download, retries included."""
    attempts: int = Field(default=4, ge=1, le=20)
    """Tries of each file, all in all; only what can pass by itself is tried again."""


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
    """Random changes of the training images, drawn anew for every batch. Zero is none."""

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
    max_minutes: float | None = Field(default=None, gt=0)
    """Stop fitting after so many minutes in all, with the best weights so far; None means no limit."""
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    """Number format of the computations; weights and the saved model are float32 in each."""
    strategy: Literal["single", "mirrored"] = "single"
    """One device, or every one of its kind with equal shares of each batch (TensorFlow only)."""
    seed: Seed = 0
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


class ExportConfig(Config):
    """The ONNX file and the proof that it says what the Keras model says."""

    opset: Literal[17, 18] = 17
    """ONNX operator set."""
    parity_images: int = Field(default=1_000, ge=1_000)
    """Real train images on which both models are compared."""
    parity_tolerance: float = Field(default=1e-5, gt=0, le=1e-2)
    """Largest accepted absolute difference of a probability."""
    false_reject_rate: float = Field(default=0.005, ge=0, lt=0.5)
    """Share of the right answers on validation rows that the limits for "no digit" may turn away."""


class EvaluateConfig(Config):
    """The prediction pass over the test rows."""

    device: Device = "auto"
    """Where to run onnxruntime; gpu fails where CUDA does not really load."""
    batch_size: int = Field(default=1_000, ge=1, le=65_536)
    """Images per call."""


class GateConfig(Config):
    """What a candidate must reach before it becomes champion."""

    min_accuracy: Fraction = 0.90
    """Least accuracy over all test images."""
    min_class_accuracy: Fraction = 0.80
    """Least accuracy of every class."""
    policy: Policy | None = None
    """What a candidate needs against the champion: better (any gain), significant (more than chance, by itself or with
    the candidates before it), not_worse (no loss beyond the margin); None means significant in retrain, unless ties
    are promoted, and better elsewhere."""
    approval: Literal["none", "person"] = "none"
    """person: who passes the gate waits as `pending` until `models approve` or `models reject`."""
    promote_ties: bool = False
    """Promote a candidate that is neither better nor worse than the champion; policy better."""
    champion_margin: Fraction = 0.0
    """Largest loss of accuracy against the champion that still counts as a tie; needs promote_ties."""
    margin: float = Field(default=0.002, gt=0, lt=1)
    """Largest loss of accuracy against the champion that is accepted; policy not_worse."""
    significance: float = Field(default=0.05, gt=0, lt=1)
    """Level of the tests against the champion; a loss that is significant (exact McNemar test) is never a tie."""
    max_calibration_error: Fraction = 0.10
    """Largest expected calibration error."""
    max_latency_ms: float | None = Field(default=None, gt=0)
    """Largest median latency of one image, milliseconds; None means not checked."""
    max_bytes: int | None = Field(default=None, ge=1)
    """Largest size of the ONNX file; None means not checked."""

    @field_validator("champion_margin")
    @classmethod
    def _takes_part(cls, value: float, info: ValidationInfo) -> float:
        """A margin for ties that are refused would do nothing."""
        if value and not info.data.get("promote_ties", True):
            raise ValueError("needs promote_ties=true: it says what counts as a tie, and ties are refused")
        return value


class PublishConfig(Config):
    """Where the model is published, and the gate before it."""

    model: Name | None = None
    """Name in the registry; None means the dataset's name."""
    gate: GateConfig = GateConfig()
    """What the candidate must reach."""
    registry: str | None = None
    """Folder or s3://bucket/prefix; None means the workspace's own."""
    sign_key: Path | None = None
    """PEM file of an Ed25519 private key that signs the manifest; None means not signed."""

    def for_retraining(self) -> "PublishConfig":
        """With the gate's policy for candidates that come by themselves, week after week, where none is named."""
        named = self.gate.policy or ("better" if self.gate.promote_ties else "significant")
        gate = self.gate.model_copy(update={"policy": named})
        return self.model_copy(update={"gate": gate})


class ScoreConfig(Config):
    """The scoring of a folder of images."""

    preprocess: PreprocessMode = "auto"
    """auto: images in MNIST's form as they are, all others brought into it; mnist: all brought into it;
    resize: only resized to 28x28; none: 28x28 pixels as they are, anything else is an error."""
    device: Device = "auto"
    """Where to run onnxruntime; gpu fails where CUDA does not really load."""
    workers: int | None = Field(default=None, ge=1, le=256)
    """Processes that read, decode and classify; None means one per usable CPU."""
    min_confidence: Fraction | None = None
    """Answers less probable than this become no_digit; None means the model's own threshold."""
    probabilities: bool = False
    """Write the probability of every class."""
    overwrite: bool = False
    """Replace existing outputs, and start anew: not even rows of an interrupted job are taken over (but with
    ``resume``)."""
    resume: bool = False
    """Bring existing outputs of such a job up to date: rows that are still true are taken over, and an output that
    is complete and up to date is left as it is. Where there is no output yet, an interrupted job is gone on with in
    any case, unless ``overwrite`` starts anew."""
    max_megapixels: float = Field(default=MAX_MEGAPIXELS, gt=0, le=1_000)
    """Largest image that is decoded, millions of pixels."""
    max_megabytes: float = Field(default=MAX_MEGABYTES, gt=0, le=2_000)
    """Largest file that is read, millions of bytes."""
    max_memory_megabytes: int = Field(default=1_024, ge=256, le=65_536)
    """What the decoding of one image may take in a worker, beyond what the worker itself needs."""
    image_seconds: Seconds = 120
    """How long one image may take, reading included, before its worker is replaced."""
    shard_images: int = Field(default=256, ge=16, le=65_536)
    """Images per shard, on average: what is classified at once, and what is lost when a worker dies."""


class PipelineConfig(Config):
    """All steps of one run."""

    fetch: FetchConfig = FetchConfig()
    """The dataset."""
    training: TrainConfig = TrainConfig()
    """The training."""
    export: ExportConfig = ExportConfig()
    """The ONNX file."""
    evaluation: EvaluateConfig = EvaluateConfig()
    """The measurement."""
    publishing: PublishConfig = PublishConfig()
    """Gate and registry."""
