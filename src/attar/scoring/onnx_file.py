"""An ONNX file read without running it: its nodes, constants, inputs and outputs.

A walk over the protobuf (onnx/onnx.proto3), since the ``onnx`` package is not installed where an
artifact scores. Only fields that attar's graphs have are known; any other is refused, and so is a part
that is there twice, which one reader would merge and another would drop. Weights are measured, never copied.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

__all__ = ["Constant", "Graph", "Model", "Node", "Value", "parse_model"]

_V = TypeVar("_V")
_Part = int | memoryview
_ONCE, _MANY = False, True

# Fields by number: name, and whether there may be several.
_MODEL = {
    1: ("ir_version", _ONCE), 2: ("producer_name", _ONCE), 3: ("producer_version", _ONCE),
    4: ("domain", _ONCE), 5: ("model_version", _ONCE), 6: ("doc", _ONCE), 7: ("graph", _ONCE),
    8: ("opset", _MANY), 14: ("metadata", _MANY),
}  # fmt: skip
_GRAPH = {
    1: ("node", _MANY), 2: ("name", _ONCE), 5: ("constant", _MANY), 10: ("doc", _ONCE),
    11: ("input", _MANY), 12: ("output", _MANY), 13: ("value", _MANY),
}  # fmt: skip
_NODE = {
    1: ("input", _MANY), 2: ("output", _MANY), 3: ("name", _ONCE), 4: ("op", _ONCE),
    5: ("attribute", _MANY), 6: ("doc", _ONCE), 7: ("domain", _ONCE),
}  # fmt: skip
_ATTRIBUTE = {
    1: ("name", _ONCE), 2: ("f", _ONCE), 3: ("i", _ONCE), 4: ("s", _ONCE), 6: ("graph", _ONCE),
    8: ("ints", _MANY), 13: ("doc", _ONCE), 20: ("type", _ONCE),
}  # fmt: skip
_TENSOR = {
    1: ("dims", _MANY), 2: ("type", _ONCE), 8: ("name", _ONCE), 9: ("raw", _ONCE), 12: ("doc", _ONCE),
    13: ("external_data", _MANY), 14: ("data_location", _ONCE),
}  # fmt: skip
_VALUE = {1: ("name", _ONCE), 2: ("type", _ONCE), 3: ("doc", _ONCE)}
_TYPE = {1: ("tensor", _ONCE)}
_TENSOR_TYPE = {1: ("element", _ONCE), 2: ("shape", _ONCE)}
_SHAPE = {1: ("dim", _MANY)}
_DIM = {1: ("size", _ONCE), 2: ("name", _ONCE)}
_PAIR = {1: ("key", _ONCE), 2: ("value", _ONCE)}
_OPSET = {1: ("domain", _ONCE), 2: ("version", _ONCE)}

# Bytes of an element, by TensorProto.DataType: float, uint8, int8, int32, int64, bool.
_ELEMENT_BYTES = {1: 4, 2: 1, 3: 1, 6: 4, 7: 8, 9: 1}
_MAX_PARTS = 200_000
"""Of the whole file: nodes, names, attributes; the largest model of attar's has some 30,000."""
_MAX_DIMS = 8


class Value(NamedTuple):
    """An input or output.

    Attributes:
        element: Its TensorProto.DataType.
        dims: A size, or the name of one, for each dimension.
    """

    element: int
    dims: tuple[int | str, ...]


class Constant(NamedTuple):
    """Weights.

    Attributes:
        element: Their TensorProto.DataType.
        dims: Their shape.
        raw: Their bytes, little-endian.
    """

    element: int
    dims: tuple[int, ...]
    raw: memoryview


class Node(NamedTuple):
    """One operation; ``attributes`` holds whole numbers, lists of them, bytes and graphs, of others None."""

    domain: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph, or the branch of an If, which has neither inputs nor constants of its own."""

    nodes: tuple[Node, ...]
    constants: Mapping[str, Constant]
    inputs: Mapping[str, Value]
    outputs: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Model:
    """A file.

    Attributes:
        ir_version: Of the format.
        opsets: Versions by domain, "" for ONNX's own.
        metadata: What its writer noted.
        graph: What it computes.
    """

    ir_version: int
    opsets: Mapping[str, int]
    metadata: Mapping[str, str]
    graph: Graph


def parse_model(content: bytes | memoryview) -> Model:
    """Read a serialised model.

    Raises:
        ValueError: It is damaged, or holds something that attar's graphs do not; the message says what.
    """
    reader = _Reader()
    parts = reader.message(memoryview(content), _MODEL, "the model")
    if "graph" not in parts:
        raise ValueError("no ONNX model, or cut short: it has no graph")
    opsets = [reader.message(one, _OPSET, "an op set") for one in parts.get("opset", ())]
    pairs = [reader.message(one, _PAIR, "the metadata") for one in parts.get("metadata", ())]
    return Model(
        _number(parts, "ir_version"),
        _by_name([(_text(one, "domain"), _number(one, "version")) for one in opsets], "op set"),
        _by_name([(_text(one, "key"), _text(one, "value")) for one in pairs], "metadata"),
        reader.graph(_view(parts["graph"][0]), depth=0),
    )


_Parts = dict[str, list[_Part]]


@dataclass(slots=True)
class _Reader:
    left: int = field(default=_MAX_PARTS)

    def message(self, part: _Part, known: Mapping[int, tuple[str, bool]], what: str) -> _Parts:
        """The fields of a message, by name."""
        found: _Parts = {}
        for number, value in _fields(_view(part)):
            self.left -= 1
            if self.left < 0:
                raise ValueError(f"more than {_MAX_PARTS:,} parts, far more than any model of attar's")
            if number not in known:
                raise ValueError(f"{what} has the field {number}, which no model of attar's has")
            name, many = known[number]
            if name in found and not many:
                raise ValueError(f"{what} has its {name} twice")
            found.setdefault(name, []).append(value)
        return found

    def graph(self, view: memoryview, depth: int) -> Graph:
        parts = self.message(view, _GRAPH, "the graph")
        return Graph(
            tuple(self._node(one, depth) for one in parts.get("node", ())),
            _by_name([self._constant(one) for one in parts.get("constant", ())], "constant"),
            _by_name([self._value(one) for one in parts.get("input", ())], "input"),
            _by_name([self._value(one) for one in parts.get("output", ())], "output"),
        )

    def _node(self, part: _Part, depth: int) -> Node:
        parts = self.message(part, _NODE, "a node")
        attributes = [self._attribute(one, depth) for one in parts.get("attribute", ())]
        inputs, outputs = ([_decoded(name) for name in parts.get(key, ())] for key in ("input", "output"))
        named = _by_name(attributes, "attribute")
        return Node(_text(parts, "domain"), _text(parts, "op"), tuple(inputs), tuple(outputs), named)

    def _attribute(self, part: _Part, depth: int) -> tuple[str, object]:
        parts = self.message(part, _ATTRIBUTE, "an attribute")
        name = _text(parts, "name")
        value: object = None
        if "graph" in parts:
            if depth:
                raise ValueError("a graph within a graph within a graph")
            value = self.graph(_view(parts["graph"][0]), depth + 1)
        elif "ints" in parts:
            value = _numbers(parts["ints"])
        elif "s" in parts:
            value = bytes(_view(parts["s"][0]))
        elif "i" in parts:
            value = _number(parts, "i")
        return name, value

    def _constant(self, part: _Part) -> tuple[str, Constant]:
        parts = self.message(part, _TENSOR, "a constant")
        name = _text(parts, "name")
        if "external_data" in parts or _number(parts, "data_location"):
            raise ValueError(f"the constant {name[:60]!r} lies in another file; attar's models are one file")
        dims, element = tuple(_numbers(parts.get("dims", []))), _number(parts, "type")
        raw = _view(parts["raw"][0]) if "raw" in parts else memoryview(b"")
        if element not in _ELEMENT_BYTES or len(dims) > _MAX_DIMS or any(size < 0 for size in dims):
            raise ValueError(f"the constant {name[:60]!r} has type {element} and shape {dims[:_MAX_DIMS]}")
        if math.prod(dims) * _ELEMENT_BYTES[element] != len(raw):
            raise ValueError(
                f"the constant {name[:60]!r} has shape {dims}, which {len(raw)} bytes do not fill"
            )
        return name, Constant(element, dims, raw)

    def _value(self, part: _Part) -> tuple[str, Value]:
        parts = self.message(part, _VALUE, "an input or output")
        kind = self.message(_only(parts, "type"), _TYPE, "a type")
        tensor = self.message(_only(kind, "tensor"), _TENSOR_TYPE, "a type")
        shape = self.message(_only(tensor, "shape"), _SHAPE, "a shape")
        dims = [self.message(one, _DIM, "a dimension") for one in shape.get("dim", ())]
        sizes = tuple(_text(dim, "name") if "name" in dim else _number(dim, "size") for dim in dims)
        return _text(parts, "name"), Value(_number(tensor, "element"), sizes)


def _by_name(pairs: list[tuple[str, _V]], what: str) -> dict[str, _V]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"two of one name among each {what}")
    return found


def _fields(view: memoryview) -> Iterator[tuple[int, _Part]]:
    """Number and content of each field of a message."""
    at, end = 0, len(view)
    while at < end:
        key, at = (view[at], at + 1) if view[at] < 128 else _varint(view, at)
        match key & 7:
            case 0:
                value, at = _varint(view, at)
                yield key >> 3, value
                continue
            case 1:
                size = 8
            case 2:
                size, at = (view[at], at + 1) if at < end and view[at] < 128 else _varint(view, at)
            case 5:
                size = 4
            case _:
                raise ValueError("damaged: no protobuf")
        if size > end - at:
            raise ValueError("damaged or cut short")
        yield key >> 3, view[at : at + size]
        at += size


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(view):
            raise ValueError("damaged or cut short")
        byte = view[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & (2**64 - 1), at
    raise ValueError("damaged: a number of more than ten bytes")


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _view(part: _Part) -> memoryview:
    if isinstance(part, int):
        raise ValueError("damaged: a number where a part should be")
    return part


def _decoded(part: _Part) -> str:
    try:
        return str(_view(part), "utf-8")
    except UnicodeDecodeError as error:
        raise ValueError("damaged: a name that is not UTF-8") from error


def _only(parts: _Parts, name: str) -> _Part:
    return parts.get(name, [memoryview(b"")])[0]


def _text(parts: _Parts, name: str) -> str:
    return _decoded(parts[name][0]) if name in parts else ""


def _number(parts: _Parts, name: str) -> int:
    value = parts.get(name, [0])[0]
    if not isinstance(value, int):
        raise ValueError(f"damaged: {name} is no number")
    return _signed(value)


def _numbers(values: list[_Part]) -> list[int]:
    """A repeated number, packed or not."""
    found: list[int] = []
    for value in values:
        if isinstance(value, int):
            found.append(_signed(value))
            continue
        at = 0
        while at < len(value):
            number, at = _varint(value, at)
            found.append(_signed(number))
            if len(found) > _MAX_PARTS:
                raise ValueError("a list of numbers that is far too long")
    return found
