"""Pure: one byte string for one network, whatever names, order and ways of reshaping the converter chose."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from mnist_pipeline import CLASSES, SIDE
from mnist_pipeline.errors import ExportError
from mnist_pipeline.inference.contract import BATCH, INPUT, NOVELTY, PROBABILITIES
from mnist_pipeline.inference.safety import ShapeError, shapes_at

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto

IR_VERSION = 8
"""The file format of ONNX 1.12, which brought opset 17: the oldest that fits, so the most runtimes read it."""
PRODUCER = "mnist-pipeline"
RESHAPING = ("Reshape", "Squeeze", "Unsqueeze", "Flatten")
# Two batch sizes that occur in no layer: a dimension that differs between them is the batch's.
BATCHES = (1_009, 2_003)


def fold_reshapes(model: "ModelProto") -> "ModelProto":
    """The model with one way of reshaping: Reshape to a constant shape, with -1 where the batch is.

    For Keras' Flatten, tf2onnx writes ``Shape -> Gather -> Slice -> Concat -> Reshape``, "the batch size of the
    input, and 256": arithmetic that CUDA would leave to the CPU and that other runtimes cannot follow.
    The Squeeze that it writes after global pooling makes OpenCV 4 fail on more than one image.
    The nodes that computed shapes stay in the graph, unused; `canonical_bytes` leaves them out.

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
        node.op_type = "Reshape"
        node.input[:] = [node.input[0], constant]
        del node.attribute[:]
    return folded


def canonical_bytes(model: "ModelProto", opset: int, metadata: Mapping[str, str]) -> bytes:
    """The model as ONNX bytes that are equal for equal networks, weights and metadata.

    Kept are the nodes that the outputs need, in the order in which a walk from the outputs finishes them,
    and the constants that these read, in the order of their first use. Tensors and nodes are named
    by position; attributes and metadata are sorted; doc strings, inner shapes and unused
    operator sets are left out; producer and format version are fixed.
    """
    from onnx import ModelProto, OperatorSetIdProto, StringStringEntryProto

    result = ModelProto(
        ir_version=IR_VERSION,
        producer_name=PRODUCER,
        opset_import=[OperatorSetIdProto(domain="", version=opset)],
        metadata_props=[StringStringEntryProto(key=key, value=metadata[key]) for key in sorted(metadata)],
        graph=_canonical_graph(model.graph),
    )
    encoded: bytes = result.SerializeToString(deterministic=True)
    return encoded


def _canonical_graph(graph: "GraphProto") -> "GraphProto":
    from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

    constants = _constants(graph)
    shapes = {PROBABILITIES: (BATCH, CLASSES), NOVELTY: (BATCH,)}
    outputs = [value.name for value in sorted(graph.output, key=lambda value: list(shapes).index(value.name))]
    names = {"": "", graph.input[0].name: INPUT} | {name: name for name in outputs}
    result = GraphProto(
        name="classifier",
        input=[helper.make_tensor_value_info(INPUT, TensorProto.UINT8, (BATCH, SIDE, SIDE))],
        output=[helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name]) for name in outputs],
    )
    for position, node in enumerate(_in_order(graph, outputs, constants)):
        for name in node.input:
            if name not in names:
                names[name] = f"constant_{len(result.initializer)}"
                values = numpy_helper.to_array(constants[name])  # as raw little-endian bytes
                result.initializer.append(numpy_helper.from_array(values, names[name]))
        label = f"{node.op_type.lower()}_{position}"
        for index, name in enumerate(node.output):
            names.setdefault(name, f"{label}_out{index}" if index else f"{label}_out")
        canonical = NodeProto(op_type=node.op_type, domain=node.domain, name=label)
        canonical.input.extend(names[name] for name in node.input)
        canonical.output.extend(names[name] for name in node.output)
        for attribute in sorted(node.attribute, key=lambda entry: entry.name):
            canonical.attribute.add().CopyFrom(attribute)
            canonical.attribute[-1].ClearField("doc_string")
        result.node.append(canonical)
    return result


def _constants(graph: "GraphProto") -> "dict[str, TensorProto]":
    """Tensor name -> value, of initialisers and Constant nodes."""
    found = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and len(node.attribute) == 1 and node.attribute[0].HasField("t"):
            found[node.output[0]] = node.attribute[0].t
    return found


def _in_order(graph: "GraphProto", outputs: list[str], constants: "Mapping[str, TensorProto]") -> "Iterator[NodeProto]":
    """Every node that the outputs need, after the nodes that it needs itself; inputs are visited in their order.

    What the first output needs comes first, so that its part of the graph does not depend on what follows.
    """
    makers = {name: node for node in graph.node for name in node.output if name and name not in constants}
    finished: set[int] = set()
    path = [makers[name] for name in reversed(outputs)]
    while path:
        node = path[-1]
        waiting = next(
            (makers[name] for name in node.input if name in makers and id(makers[name]) not in finished), None
        )
        if waiting is not None:
            path.append(waiting)
            continue
        path.pop()
        if id(node) not in finished:
            finished.add(id(node))
            yield node
