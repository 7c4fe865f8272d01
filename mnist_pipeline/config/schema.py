"""What each step does, as frozen, validated values.

A field's description is what the command line, Prefect's parameter form and the stored
``config.json`` show. Nothing here reads the environment or the disk.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationInfo, field_validator

from mnist_pipeline import Device
from mnist_pipeline.config.training import TrainConfig
from mnist_pipeline.schema import Config

Fraction = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(gt=0)]
# One path segment that means the same on every file system and in every URL.
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Policy = Literal["better", "significant", "not_worse"]


class FetchConfig(Config):
    """Where the dataset comes from and how long and how often a download is tried."""

    dataset: str = "mnist"
    """Name of a built-in dataset (mnist, digits) or path of a description (.toml)."""
    source: str | None = None
    """Mirror to read instead of the official source: https, s3 or file URL of a folder, or a directory."""
    extra_images: Path | None = None
    """Folder with a folder of labelled images per class, which are added to the own labels first; None means none."""
    labels: str | None = None
    """Own labelled images: folder or s3://bucket/prefix; None means the workspace's own."""
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
    min_own_test_accuracy: Fraction | None = None
    """Least accuracy over the own-test images, where there are some; None means not checked."""
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
