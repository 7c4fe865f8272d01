"""The shape of every tensor of a graph at a given batch size, by ONNX's own shape inference."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto


class ShapeError(ValueError):
    """A tensor's shape is not known before the graph runs, or contradicts what the file states."""


def shapes_at(model: "ModelProto", batch: int) -> dict[str, tuple[int, ...]]:
    """Tensor name -> shape, for every node output, with ``batch`` as the first dimension of inputs and outputs.

    What the file states of its inner tensors is ignored. Values that are computed from shapes are
    followed (``data_prop``), so the shape arithmetic that converters leave is understood.

    Raises:
        ShapeError: a shape cannot be known, or the output's is not the stated one.
    """
    from onnx import ModelProto, shape_inference

    fixed = ModelProto()
    fixed.CopyFrom(model)
    del fixed.graph.value_info[:]
    for value in (*fixed.graph.input, *fixed.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = batch
    try:
        inferred = shape_inference.infer_shapes(fixed, check_type=True, strict_mode=True, data_prop=True)
    except (shape_inference.InferenceError, ValueError) as error:
        raise ShapeError(str(error).strip().splitlines()[-1]) from None
    shapes = {value.name: _shape(value) for value in (*inferred.graph.value_info, *inferred.graph.output)}
    for node in model.graph.node:
        for name in node.output:
            if name and name not in shapes:
                raise ShapeError(f"the shape of {name!r}, which {node.op_type} makes, cannot be known before it runs")
    return shapes


def _shape(value: "ValueInfoProto") -> tuple[int, ...]:
    dimensions = value.type.tensor_type.shape.dim
    if any(not dimension.HasField("dim_value") for dimension in dimensions):
        raise ShapeError(f"the shape of {value.name!r} cannot be known before it runs")
    return tuple(dimension.dim_value for dimension in dimensions)
