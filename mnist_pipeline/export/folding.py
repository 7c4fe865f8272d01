"""Pure: replace the shape arithmetic that Keras' Flatten and Reshape leave by what it always computes."""

from typing import TYPE_CHECKING

import numpy as np

from mnist_pipeline.errors import ExportError
from mnist_pipeline.inference.shapes import ShapeError, shapes_at

if TYPE_CHECKING:
    from onnx import ModelProto

# Two batch sizes that occur in no layer: a dimension that differs between them is the batch's.
BATCHES = (1_009, 2_003)


def fold_reshapes(model: "ModelProto") -> "ModelProto":
    """The model with a constant target shape in every Reshape, with -1 where the batch is.

    tf2onnx writes ``Shape -> Gather -> Slice -> Concat -> Reshape`` for "the batch size of the input, and
    256": arithmetic that CUDA would leave to the CPU and that other runtimes cannot follow. The nodes
    that computed the shapes stay in the graph, unused; `canonical.canonical_bytes` leaves them out.

    Raises:
        ExportError: a shape depends on the pixels.
    """
    from onnx import ModelProto, numpy_helper

    folded = ModelProto()
    folded.CopyFrom(model)
    constants = {tensor.name for tensor in model.graph.initializer}
    computed = [node for node in folded.graph.node if node.op_type == "Reshape" and node.input[1] not in constants]
    if not computed:
        return folded
    try:
        small, large = (shapes_at(model, batch) for batch in BATCHES)
    except ShapeError as error:
        raise ExportError(f"the model's shapes cannot be settled before it runs: {error}") from None
    for node in computed:
        name = node.output[0]
        # More than one -1 means that the shape depends on more than the batch size: ONNX's checker refuses it.
        target = [size if size == other else -1 for size, other in zip(small[name], large[name], strict=True)]
        constant = f"{name}/constant_shape"
        folded.graph.initializer.append(numpy_helper.from_array(np.array(target, np.int64), constant))
        node.input[1] = constant
    return folded
