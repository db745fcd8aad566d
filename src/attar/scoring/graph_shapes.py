"""Shapes of all that a graph computes for one example, without computing it.

Every operation of attar's graphs is here, and no other. What does not fit together is found before
it runs, and so is a graph that would grow: a few additions that widen each other's result fill any
memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from attar.scoring.onnx_file import Constant, Graph, Node

__all__ = ["MAX_ELEMENTS", "OPS", "check_shapes"]

MAX_ELEMENTS = 1 << 29
"""Of one tensor, for one example of the longest input: 2 GiB in fp32, far more than any model of attar's."""

_Shape = tuple[int, ...]
_INT64 = 7
_MICROSOFT = "com.microsoft"


def check_shapes(
    graph: Graph, inputs: Mapping[str, _Shape], constants: Mapping[str, Constant], num_tokens: int
) -> dict[str, _Shape]:
    """The shapes of a graph's outputs.

    Args:
        graph: Of the operations in ``OPS``; an If is the caller's to open.
        inputs: Shapes by name.
        constants: Of the whole model.
        num_tokens: T of the inputs.

    Raises:
        ValueError: Something does not fit, is not there, or grows beyond ``MAX_ELEMENTS``.
    """
    shapes: dict[str, _Shape] = {name: constant.dims for name, constant in constants.items()} | dict(inputs)
    known = _Known(constants, num_tokens)
    for node in graph.nodes:
        try:
            found = OPS[node.domain, node.op](
                node, [shapes[name] if name else () for name in node.inputs], known
            )
        except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(
                f"{node.op} of {', '.join(node.inputs)[:80]} does not fit what it reads ({str(error)[:80]})"
            ) from error
        if len(node.outputs) != 1 or node.outputs[0] in shapes:
            raise ValueError(f"{node.op} writes {', '.join(node.outputs)[:80]}; expected one new name")
        if math.prod(found) > MAX_ELEMENTS:
            raise ValueError(
                f"{node.op} makes a tensor of shape {list(found)}: more than {MAX_ELEMENTS:,} values"
            )
        shapes[node.outputs[0]] = found
        if node.op == "Shape":
            known.lengths.add(node.outputs[0])
    try:
        return {name: shapes[name] for name in graph.outputs}
    except KeyError as error:
        raise ValueError(f"nothing computes the output {error}") from error


class _Known:
    """Values of the small tensors that decide about shapes."""

    def __init__(self, constants: Mapping[str, Constant], num_tokens: int) -> None:
        self._constants, self._num_tokens = constants, num_tokens
        self.lengths: set[str] = set()  # what Shape has computed: T

    def whole(self, name: str) -> list[int]:
        if name in self.lengths:
            return [self._num_tokens]
        constant = self._constants[name]
        if constant.element != _INT64 or math.prod(constant.dims) > 8:
            raise ValueError(f"{name} is no short list of numbers")
        found: list[int] = np.frombuffer(constant.raw, "<i8").tolist()
        return found

    def is_single(self, name: str) -> bool:
        return name in self._constants and math.prod(self._constants[name].dims) == 1


def _same(node: Node, shapes: list[_Shape], known: _Known) -> _Shape:  # noqa: ARG001
    return shapes[0]


def _normed(node: Node, shapes: list[_Shape], known: _Known) -> _Shape:  # noqa: ARG001
    if any(shape != shapes[0][-1:] for shape in shapes[1:]):
        raise ValueError(f"{shapes}")
    return shapes[0]


def _quantised(node: Node, shapes: list[_Shape], known: _Known) -> _Shape:  # noqa: ARG001
    if any(math.prod(shape) != 1 for shape in shapes[1:]):
        raise ValueError("one scale and one zero point expected")
    return shapes[0]


def _broadcast(node: Node, shapes: list[_Shape], known: _Known) -> _Shape:  # noqa: ARG001
    first, second = shapes
    return np.broadcast_shapes(first, second)


def _matmul(node: Node, shapes: list[_Shape], known: _Known) -> _Shape:  # noqa: ARG001
    first, second = shapes[:2]
    if len(first) < 2 or len(second) < 2 or first[-1] != second[-2]:
        raise ValueError(f"{first} by {second}")
    return (*np.broadcast_shapes(first[:-2], second[:-2]), first[-2], second[-1])


def _product(node: Node, shapes: list[_Shape], known: _Known) -> _Shape:
    if len(shapes[0]) < 2:  # one row an example
        return _matmul(node, [(1, *shapes[0]), shapes[1]], known)[1:]
    out = _matmul(node, shapes, known)
    if any(math.prod(shape) not in (0, 1, out[-1]) for shape in shapes[2:]):
        raise ValueError("one scale, or one an output, expected")
    return out


def _reshape(node: Node, shapes: list[_Shape], known: _Known) -> _Shape:
    wanted = known.whole(node.inputs[1])
    dims = [shapes[0][i] if size == 0 else size for i, size in enumerate(wanted)]
    if -1 in dims:
        at = dims.index(-1)
        dims[at] = math.prod(shapes[0]) // max(1, math.prod(dims[:at] + dims[at + 1 :]))
    if min(dims) < 0 or math.prod(dims) != math.prod(shapes[0]):
        raise ValueError(f"{shapes[0]} as {wanted}")
    return tuple(dims)


def _reduced(node: Node, shapes: list[_Shape], known: _Known) -> _Shape:
    if known.whole(node.inputs[1]) != [-1] or node.attributes.get("keepdims") != 1:
        raise ValueError("the last axis, kept, expected")
    return (*shapes[0][:-1], 1)


def _transpose(node: Node, shapes: list[_Shape], known: _Known) -> _Shape:  # noqa: ARG001
    order: Any = node.attributes["perm"]
    if sorted(order) != list(range(len(shapes[0]))):
        raise ValueError(f"order {order}")
    return tuple(shapes[0][axis] for axis in order)


def _gather(node: Node, shapes: list[_Shape], known: _Known) -> _Shape:
    data, indices = shapes
    axis: Any = node.attributes.get("axis", 0)
    if not 0 <= axis < len(data):
        raise ValueError(f"axis {axis}")
    if known.is_single(node.inputs[1]) and not 0 <= known.whole(node.inputs[1])[0] < data[axis]:
        raise ValueError(f"{data} has no such row")
    return (*data[:axis], *indices, *data[axis + 1 :])


def _slice(node: Node, shapes: list[_Shape], known: _Known) -> _Shape:
    start, end, axis = (known.whole(name) for name in node.inputs[1:4])
    data = list(shapes[0])
    if (len(start), len(end), len(axis), len(node.inputs)) != (1, 1, 1, 4) or not 0 <= start[0] <= end[0]:
        raise ValueError(f"{start} to {end} of axis {axis}")
    data[axis[0]] = max(0, min(end[0], data[axis[0]]) - start[0])
    return tuple(data)


def _length(node: Node, shapes: list[_Shape], known: _Known) -> _Shape:  # noqa: ARG001
    if (node.attributes.get("start"), node.attributes.get("end")) != (1, 2) or len(shapes[0]) != 2:
        raise ValueError("the number of tokens expected")
    return (1,)


def _unsqueeze(node: Node, shapes: list[_Shape], known: _Known) -> _Shape:
    axes, dims = known.whole(node.inputs[1]), list(shapes[0])
    for axis in sorted(axes):
        if not 0 <= axis <= len(dims):
            raise ValueError(f"axes {axes}")
        dims.insert(axis, 1)
    return tuple(dims)


def _all_of(
    names: Iterable[str], shape: Callable[..., _Shape]
) -> dict[tuple[str, str], Callable[..., _Shape]]:
    return {("", name): shape for name in names}


OPS: Mapping[tuple[str, str], Callable[..., _Shape]] = {
    **_all_of(("Abs", "Cast", "Gelu", "Relu", "Softmax", "Tanh"), _same),
    **_all_of(("Add", "Div", "Max", "Mul", "Sub"), _broadcast),
    ("", "Gather"): _gather,
    ("", "LayerNormalization"): _normed,
    ("", "MatMul"): _matmul,
    ("", "QuantizeLinear"): _quantised,
    ("", "ReduceMax"): _reduced,
    ("", "Reshape"): _reshape,
    ("", "Shape"): _length,
    ("", "Slice"): _slice,
    ("", "Transpose"): _transpose,
    ("", "Unsqueeze"): _unsqueeze,
    (_MICROSOFT, "MatMulIntegerToFloat"): _product,
}
"""By domain and name: the shape of an operation's output.

Abs, Div, Max and ReduceMax are an early attar's."""
