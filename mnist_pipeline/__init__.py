"""From a labelled image sprite to a proven, published ONNX classifier."""

__version__ = "0.1.0"
