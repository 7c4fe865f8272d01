"""Pure: every operator that only gives a tensor another shape becomes a Reshape with a constant shape."""

from typing import TYPE_CHECKING

import numpy as np

from mnist_pipeline.errors import ExportError
from mnist_pipeline.inference.safety import ShapeError, shapes_at

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

RESHAPING = ("Reshape", "Squeeze", "Unsqueeze", "Flatten")
# Two batch sizes that occur in no layer: a dimension that differs between them is the batch's.
BATCHES = (1_009, 2_003)


def fold_reshapes(model: "ModelProto") -> "ModelProto":
    """The model with one way of reshaping: Reshape to a constant shape, with -1 where the batch is.

    For Keras' Flatten, tf2onnx writes ``Shape -> Gather -> Slice -> Concat -> Reshape``, "the batch size of the
    input, and 256": arithmetic that CUDA would leave to the CPU and that other runtimes cannot follow.
    The Squeeze that it writes after global pooling makes OpenCV 4 fail on more than one image.
    The nodes that computed shapes stay in the graph, unused; `canonical.canonical_bytes` leaves them out.

    Raises:
        ExportError: a shape depends on the pixels.
    """
    from onnx import ModelProto, numpy_helper

    folded = ModelProto()
    folded.CopyFrom(model)
    try:
        small, large = (shapes_at(model, batch) for batch in BATCHES)
    except ShapeError as error:
        raise ExportError(f"the model's shapes cannot be settled before it runs: {error}") from None
    for node in folded.graph.node:
        if node.op_type not in RESHAPING:
            continue
        name = node.output[0]
        # More than one -1 means that the shape depends on more than the batch size: ONNX's checker refuses it.
        target = [size if size == other else -1 for size, other in zip(small[name], large[name], strict=True)]
        constant = f"{name}/constant_shape"
        folded.graph.initializer.append(numpy_helper.from_array(np.array(target, np.int64), constant))
        _become_reshape(node, constant)
    return folded


def _become_reshape(node: "NodeProto", shape: str) -> None:
    node.op_type = "Reshape"
    node.input[:] = [node.input[0], shape]
    del node.attribute[:]
