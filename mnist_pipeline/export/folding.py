"""Pure: replace the shape arithmetic that Keras' Flatten and Reshape leave by what it always computes."""

import math
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
        ExportError: a shape depends on more than the batch size.
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
        target = np.array(_target(name, small[name], large[name]), np.int64)
        constant = f"{name}/constant_shape"
        folded.graph.initializer.append(numpy_helper.from_array(target, constant))
        node.input[1] = constant
    return folded


def _target(name: str, small: tuple[int, ...], large: tuple[int, ...]) -> list[int]:
    """The shape at any batch size, from the shapes at both of `BATCHES`."""
    varying = [axis for axis, sizes in enumerate(zip(small, large, strict=True)) if len(set(sizes)) > 1]
    if len(varying) > 1 or math.prod(small) * BATCHES[1] != math.prod(large) * BATCHES[0]:
        raise ExportError(f"tensor {name!r} has the shape {small} at batch {BATCHES[0]}, {large} at {BATCHES[1]}")
    return [-1 if axis in varying else size for axis, size in enumerate(small)]
