"""``parity.json``: what the comparison of Keras and onnxruntime found."""

from mnist_pipeline.schema import Record


class Parity(Record):
    """Keras and onnxruntime on the same images."""

    images: int
    max_abs_difference: float
    """Of any probability."""
    mean_abs_difference: float
    argmax_differences: int
    tolerance: float
    passed: bool
    provider: str
    opset: int
    nodes: int
    bytes: int
    model_sha256: str
    keras_sha256: str
    """Of model.keras."""
