"""What an image's row depends on, besides its bytes and the settings: who decodes it and who classifies it."""

from functools import cache

from mnist_pipeline.files import canonical_json, sha256_bytes
from mnist_pipeline.runs.fingerprint import ONNXRUNTIME, Sources

SOURCES = Sources(
    ("imaging", "inference", "rejection", "scoring"),
    ("numpy", "opencv-python-headless", "pillow", "onnx", *ONNXRUNTIME),
)


@cache
def preprocessing_version() -> str:
    """Changes where the code or a package changes that an image's row depends on."""
    return f"1-{sha256_bytes(canonical_json(SOURCES.fingerprint()))[:12]}"
