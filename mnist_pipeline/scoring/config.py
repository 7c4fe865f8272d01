"""How images are scored, as a frozen, validated value.

A field's description is what Prefect's parameter form shows. Nothing here reads the environment or the disk.
"""

from pydantic import Field

from mnist_pipeline import MAX_BYTES, MAX_PIXELS, Device, PreprocessMode
from mnist_pipeline.schema import Config


class ScoreConfig(Config):
    """The scoring of a folder of images."""

    preprocess: PreprocessMode = "auto"
    """auto: images in MNIST's form as they are, all others brought into it; mnist: all brought into it;
    resize: only resized to 28x28; none: 28x28 pixels as they are, anything else is an error."""
    device: Device = "auto"
    """Where to run onnxruntime; gpu fails where CUDA does not really load."""
    workers: int | None = Field(default=None, ge=1, le=256)
    """Processes that read, decode and classify; None means one per usable CPU."""
    min_confidence: float | None = Field(default=None, ge=0, le=1)
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
    max_megapixels: float = Field(default=MAX_PIXELS / 1e6, gt=0, le=1_000)
    """Largest image that is decoded, millions of pixels."""
    max_megabytes: float = Field(default=MAX_BYTES / 1e6, gt=0, le=2_000)
    """Largest file that is read, millions of bytes."""
    max_memory_megabytes: int = Field(default=1_024, ge=256, le=65_536)
    """What the decoding of one image may take in a worker, beyond what the worker itself needs."""
    image_seconds: float = Field(default=120, gt=0)
    """How long one image may take, reading included, before its worker is replaced."""
    shard_images: int = Field(default=1_024, ge=16, le=65_536)
    """Images per shard at most, on average; fewer where they are large: what is lost when a worker dies."""
