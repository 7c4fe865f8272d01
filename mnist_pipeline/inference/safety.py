"""What an ONNX file must be before onnxruntime sees it: allow-lists, limits, and the contract.

Everything is refused that is not named here. So external data (CVE-2022-25882, CVE-2024-27318),
subgraphs, local functions, custom operators, sparse and training extras have no place to hide,
whatever fields later versions of ONNX add.
"""

import math
from collections.abc import Iterable, Mapping, Sequence, Sized
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from mnist_pipeline import CLASSES, SIDE
from mnist_pipeline.errors import IntegrityError
from mnist_pipeline.inference.contract import INPUT, NOVELTY, PROBABILITIES

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

MAX_BYTES: Final = 256 * 2**20
"""Largest model file: 64 million float32 weights."""
MAX_NODES: Final = 10_000
MAX_ELEMENTS: Final = 2**20
"""Largest tensor between two nodes, elements per image: 28x28 pixels of 1,337 channels."""
MAX_BATCH: Final = 65_536
"""Largest batch that the memory bound is proven for, and that `Classifier` runs."""
MAX_INTEGER: Final = 2**20
"""Largest magnitude of an integer attribute (padding, stride, axis)."""

# Message -> the fields that may be set.
FIELDS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        name: frozenset(fields.split())
        for name, fields in {
            "ModelProto": "ir_version opset_import producer_name producer_version domain model_version doc_string "
            "graph metadata_props",
            "OperatorSetIdProto": "domain version",
            "StringStringEntryProto": "key value",
            "GraphProto": "node name initializer doc_string input output value_info",
            "NodeProto": "input output name op_type domain attribute doc_string",
            "AttributeProto": "name type doc_string f i s t floats ints strings",
            "TensorProto": "dims data_type name doc_string raw_data float_data int32_data int64_data double_data",
            "ValueInfoProto": "name type doc_string",
            "TypeProto": "tensor_type",
            "Tensor": "elem_type shape",
            "TensorShapeProto": "dim",
            "Dimension": "dim_value dim_param denotation",
        }.items()
    }
)

# Operators whose output shape follows from shapes and constants, and that compute nothing but numbers.
OPERATORS: Final = frozenset(
    """
    Abs Add AveragePool BatchNormalization Cast Clip Concat Constant Conv Div Elu Erf Exp Flatten Gemm
    GlobalAveragePool GlobalMaxPool HardSigmoid HardSwish Identity InstanceNormalization LayerNormalization LeakyRelu
    Log LogSoftmax MatMul Max MaxPool Mean Min Mul Neg PRelu Pad Pow Reciprocal ReduceMax ReduceMean ReduceMin
    ReduceSum Relu Reshape Selu Sigmoid Softmax Softplus Softsign Split Sqrt Squeeze Sub Sum Tanh ThresholdedRelu
    Transpose Unsqueeze
    """.split()  # noqa: SIM905 - 54 quoted names are harder to read
)


class ShapeError(ValueError):
    """A tensor's shape is not known before the graph runs, or contradicts what the file states."""


def check_model_is_safe(data: bytes) -> None:
    """Refuse the bytes of an ONNX file that must not be loaded. Nothing outside ``data`` is read.

    Checked, in this order: the size; that the bytes are one ONNX message and nothing more; that only
    plain fields, operators of the standard domain and embedded tensors occur, at any depth; ONNX's own
    checker; the contract (`contract.INPUT`, `contract.PROBABILITIES`, `contract.NOVELTY`); that every shape is known
    beforehand and that no tensor exceeds `MAX_ELEMENTS` per image at any batch size up to `MAX_BATCH`.

    Raises:
        IntegrityError: the file is not a model of this package, or is not safe to load; says what was found.
    """
    if len(data) > MAX_BYTES:
        raise IntegrityError(f"the model file has {len(data):,} bytes, at most {MAX_BYTES:,} are accepted")
    model = parse_model(data)
    _check_fields(model)
    _check_opset(model)
    for node in model.graph.node:
        _check_node(node)
    for tensor in _tensors(model.graph):
        _check_tensor(tensor)
    _check_structure(data)
    _check_contract(model.graph)
    _check_shapes(model)


def parse_model(data: bytes) -> "ModelProto":
    """The ONNX message in these bytes, and nothing more.

    Raises:
        IntegrityError: they are not a model, or hold more than one.
    """
    from google.protobuf.message import DecodeError
    from onnx import ModelProto

    model = ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        raise IntegrityError("the model file is not an ONNX file, or is cut short") from None
    model.DiscardUnknownFields()
    # Fields that this parser does not know, or that occur twice, could mean something else to another parser.
    if model.ByteSize() != len(data):
        raise IntegrityError(f"the model file holds {len(data) - model.ByteSize():,} bytes that are no part of a model")
    return model


def _check_fields(message: Any) -> None:
    """Walk the whole message; recursion ends because only subgraphs nest, and those are not allowed."""
    name = message.DESCRIPTOR.name
    allowed = FIELDS.get(name, frozenset())
    for field, value in message.ListFields():
        if field.name in ("external_data", "data_location"):
            raise IntegrityError(f"tensor {message.name!r} of the model file has external data, which is never loaded")
        if field.name not in allowed:
            raise IntegrityError(f"the model file uses {name}.{field.name}, which is not accepted")
        if field.message_type is not None:
            for part in value if isinstance(value, Iterable) else (value,):
                _check_fields(part)


def _check_opset(model: "ModelProto") -> None:
    domains = [entry.domain or "ai.onnx" for entry in model.opset_import]
    if domains != ["ai.onnx"]:
        raise IntegrityError(f"the model file imports the operator sets {domains}, expected ['ai.onnx'] alone")


def _check_node(node: "NodeProto") -> None:
    if node.domain not in ("", "ai.onnx") or node.op_type not in OPERATORS:
        name = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        raise IntegrityError(f"the model file uses the operator {name!r}, which is not accepted")
    for attribute in node.attribute:
        _check_attribute(node, attribute)


def _check_attribute(node: "NodeProto", attribute: "AttributeProto") -> None:
    kinds = type(attribute)
    plain = (kinds.FLOAT, kinds.INT, kinds.STRING, kinds.TENSOR, kinds.FLOATS, kinds.INTS, kinds.STRINGS)
    where = f"attribute {attribute.name!r} of the operator {node.op_type!r}"
    if attribute.type not in plain:
        raise IntegrityError(f"{where} is of type {attribute.type}, which is not accepted")
    largest = max((abs(value) for value in (attribute.i, *attribute.ints)), default=0)
    if largest > MAX_INTEGER:
        raise IntegrityError(f"{where} is {largest:,}, at most {MAX_INTEGER:,} is accepted")


def _tensors(graph: "GraphProto") -> "Iterable[TensorProto]":
    yield from graph.initializer
    for node in graph.node:
        yield from (attribute.t for attribute in node.attribute if attribute.HasField("t"))


def _check_tensor(tensor: "TensorProto") -> None:
    """The tensor holds as many values as its dimensions say, and they are numbers."""
    kinds = type(tensor)
    sizes: dict[int, tuple[int, Sized]] = {
        kinds.FLOAT: (4, tensor.float_data),
        kinds.DOUBLE: (8, tensor.double_data),
        kinds.INT64: (8, tensor.int64_data),
        kinds.INT32: (4, tensor.int32_data),
        kinds.UINT8: (1, tensor.int32_data),
        kinds.BOOL: (1, tensor.int32_data),
    }
    if tensor.data_type not in sizes:
        raise IntegrityError(f"tensor {tensor.name!r} of the model file has element type {tensor.data_type}")
    if any(dimension < 0 for dimension in tensor.dims):
        raise IntegrityError(f"tensor {tensor.name!r} of the model file has the shape {list(tensor.dims)}")
    size, values = sizes[tensor.data_type]
    expected = math.prod(tensor.dims)
    found = len(tensor.raw_data) / size if tensor.HasField("raw_data") else len(values)
    if found != expected:
        raise IntegrityError(f"tensor {tensor.name!r} of the model file holds {found:g} values, states {expected:g}")


def _check_structure(data: bytes) -> None:
    from onnx import checker

    try:
        checker.check_model(data, full_check=False)
    except (checker.ValidationError, ValueError) as error:
        raise IntegrityError(f"the model file breaks the ONNX rules: {str(error).strip().splitlines()[0]}") from None


def _check_contract(graph: "GraphProto") -> None:
    """One input; the probabilities, and after them the novelty, which a model may lack."""
    _check_values("input", graph.input, [(INPUT, "UINT8", SIDE, SIDE)])
    outputs: list[Value] = [(PROBABILITIES, "FLOAT", CLASSES), (NOVELTY, "FLOAT")]
    _check_values("output", graph.output, outputs[: max(1, len(graph.output))])


Value = tuple[str | int, ...]
"""Name, element type and all sizes but that of the batch."""


def _check_values(what: str, values: "Sequence[ValueInfoProto]", expected: list[Value]) -> None:
    from onnx import TensorProto

    batch = [value.type.tensor_type.shape.dim[:1] for value in values]
    symbolic = all(first and not first[0].HasField("dim_value") for first in batch)
    kinds = TensorProto.DataType
    found = [(v.name, v.type.tensor_type.elem_type, *_sizes(v)[1:]) for v in values]
    if found != [(name, kinds.Value(str(kind)), *sizes) for name, kind, *sizes in expected] or not symbolic:
        stated = "; ".join(f"{name} {kind} [{', '.join(map(str, ['N', *sizes]))}]" for name, kind, *sizes in expected)
        told = "; ".join(map(_describe, values)) or "none"
        raise IntegrityError(f"the model file has the {what} {told}, expected {stated}")


def _sizes(value: "ValueInfoProto") -> list[int | str]:
    return [
        dimension.dim_value if dimension.HasField("dim_value") else dimension.dim_param or "?"
        for dimension in value.type.tensor_type.shape.dim
    ]


def _describe(value: "ValueInfoProto") -> str:
    from onnx import TensorProto

    kind = value.type.tensor_type.elem_type
    kinds = TensorProto.DataType
    name = kinds.Name(kind) if kind in kinds.values() else str(kind)
    return f"{value.name} {name} [{', '.join(map(str, _sizes(value)))}]"


def _check_shapes(model: "ModelProto") -> None:
    """No tensor is larger than `MAX_ELEMENTS` per image, at any batch size from 1 to `MAX_BATCH`.

    A tensor's element count is a polynomial of the batch size with no negative coefficient, so
    count(n) / n is convex, and bounded on the range by its values at both ends.
    """
    if len(model.graph.node) > MAX_NODES:
        raise IntegrityError(f"the model file has {len(model.graph.node):,} nodes, at most {MAX_NODES:,} are accepted")
    try:
        for batch in (1, MAX_BATCH):
            for name, shape in shapes_at(model, batch).items():
                if (count := math.prod(shape)) > MAX_ELEMENTS * batch or min(shape, default=0) < 0:
                    raise IntegrityError(
                        f"tensor {name!r} of the model file has {count:,} elements for a batch of {batch:,}, "
                        f"at most {MAX_ELEMENTS * batch:,} are accepted"
                    )
    except ShapeError as error:
        raise IntegrityError(f"the shapes of the model file do not add up: {error}") from None


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
