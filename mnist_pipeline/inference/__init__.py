"""Classification with onnxruntime, and the checks that an ONNX file must pass before it is loaded.

No other room imports onnxruntime.
"""

from mnist_pipeline.inference.classifier import Answers, Classifier, read_metadata
from mnist_pipeline.inference.contract import INPUT, NOVELTY, PROBABILITIES, AnswerLimits, ModelMetadata
from mnist_pipeline.inference.safety import MAX_BATCH, MAX_BYTES, check_model_is_safe
from mnist_pipeline.inference.sessions import gpu_problem

__all__ = [
    "INPUT",
    "MAX_BATCH",
    "MAX_BYTES",
    "NOVELTY",
    "PROBABILITIES",
    "AnswerLimits",
    "Answers",
    "Classifier",
    "ModelMetadata",
    "check_model_is_safe",
    "gpu_problem",
    "read_metadata",
]
