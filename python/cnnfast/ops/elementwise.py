"""Arithmetic, element by element: two tensors with NumPy's broadcasting, or a tensor and numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cnnfast.graph.values import Node, Shape, Spec
from cnnfast.ops.core import Attributes, Op, Tensor, apply, require_float, unbroken
from cnnfast.ops.reduce import sum_to


def broadcast_shape(op: str, a: Shape, b: Shape) -> Shape:
    """The shape two operands have together: aligned at the last axis, sizes agree or are 1.

    Raises:
        ValueError: they do not fit.
    """
    rank = max(len(a), len(b))
    pairs = zip((1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b, strict=True)
    shape = []
    for one, other in pairs:
        if None not in (one, other) and one != other and 1 not in (one, other):
            raise ValueError(f"{op}: sizes must agree from the last axis on, or be 1; got {a} and {b}")
        # An unknown size meets 1, itself, or a size that it must turn out to have.
        shape.append(other if one == 1 or (one is None and other != 1) else one)
    return tuple(shape)


def _binary_infer(specs: list[Spec | None], op: str) -> list[Spec]:
    a, b = (require_float(op, n, unbroken(op, n, s)) for n, s in zip("ab", specs, strict=True))
    return [Spec(broadcast_shape(op, a.shape, b.shape))]


def _back_to(gradient: Tensor, value: Any) -> Tensor:
    """The gradient of an operand: summed over the axes along which it was repeated."""
    return sum_to(gradient, value.spec.known_shape)


def _add_gradient(node: Node, grads: list[Any], needs: list[bool]) -> list[Any]:
    return [_back_to(grads[0], v) if n else None for v, n in zip(node.inputs, needs, strict=True)]


def _subtract_gradient(node: Node, grads: list[Any], needs: list[bool]) -> list[Any]:
    a, b = node.inputs
    return [
        _back_to(grads[0], a) if needs[0] else None,
        _times(_back_to(grads[0], b), -1.0) if needs[1] else None,
    ]


def _multiply_gradient(node: Node, grads: list[Any], needs: list[bool]) -> list[Any]:
    a, b = node.inputs
    return [
        _back_to(apply(MULTIPLY, [grads[0], b]), a) if needs[0] else None,
        _back_to(apply(MULTIPLY, [grads[0], a]), b) if needs[1] else None,
    ]


def _times(gradient: Any, factor: float) -> Any:
    """A gradient that is a plain number stays one: losses are scaled by numbers (see `differentiate`)."""
    return gradient * factor if isinstance(gradient, (int, float)) else scale(gradient, factor)


def _scale_infer(specs: list[Spec | None], _: Attributes) -> list[Spec]:
    return [require_float("scale", "x", unbroken("scale", "x", specs[0]))]


def _cast_infer(specs: list[Spec | None], _: Attributes) -> list[Spec]:
    return [Spec(unbroken("cast", "x", specs[0]).shape)]


def _cast_gradient(node: Node, grads: list[Any], _: list[bool]) -> list[Any]:
    x = node.inputs[0]
    assert x is not None
    return [_times(grads[0], node.attributes["scale"]) if x.dtype == "float32" else None]


ADD = Op("add", lambda specs, _: _binary_infer(specs, "add"), _add_gradient, inplace=0)
SUBTRACT = Op("subtract", lambda specs, _: _binary_infer(specs, "subtract"), _subtract_gradient, inplace=0)
MULTIPLY = Op("multiply", lambda specs, _: _binary_infer(specs, "multiply"), _multiply_gradient, inplace=0)
SCALE = Op(
    "scale",
    _scale_infer,
    gradient=lambda node, grads, _: [_times(grads[0], node.attributes["scale"])],
    inplace=0,
)
CAST = Op("cast", _cast_infer, _cast_gradient, own_types=True)


def add(a: Tensor, b: Tensor) -> Tensor:
    """a + b, broadcast as NumPy does.

    Args:
        a, b: tensors whose sizes agree, counted from the last axis, or are 1 or missing in one of them.

    Raises:
        ValueError: shapes that do not fit.

    Example:
        >>> add(np.ones((2, 3)), np.array([0.0, 1.0, 2.0]))
        array([[1., 2., 3.],
               [1., 2., 3.]], dtype=float32)
    """
    return apply(ADD, [a, b])


def subtract(a: Tensor, b: Tensor) -> Tensor:
    """a - b, broadcast as NumPy does; see `add`."""
    return apply(SUBTRACT, [a, b])


def multiply(a: Tensor, b: Tensor) -> Tensor:
    """a * b, element by element, broadcast as NumPy does; see `add`.

    Example:
        >>> multiply(np.full((2, 2), 3.0), np.array([[1.0], [2.0]]))
        array([[3., 3.],
               [6., 6.]], dtype=float32)
    """
    return apply(MULTIPLY, [a, b])


def scale(x: Tensor, scale: float, offset: float = 0.0) -> Tensor:
    """x * scale + offset.

    Args:
        x: tensor of any shape, float32.
        scale, offset: finite numbers.

    Example:
        >>> scale(np.array([0.0, 4.0]), 0.5, -1)
        array([-1.,  1.], dtype=float32)
    """
    return apply(SCALE, [x], _line("scale", scale, offset))


def cast(x: Tensor, scale: float = 1.0, offset: float = 0.0) -> Tensor:
    """x * scale + offset in float32, from uint8, int32 or float32: images to numbers in one pass.

    Example:
        >>> cast(np.array([0, 255], dtype=np.uint8), 1 / 255)
        array([0., 1.], dtype=float32)
    """
    return apply(CAST, [x], _line("cast", scale, offset))


def _line(op: str, scale: Any, offset: Any) -> Attributes:
    for name, value in (("scale", scale), ("offset", offset)):
        if not isinstance(value, (int, float, np.number)) or isinstance(value, bool):
            raise TypeError(f"{op}: {name} must be a number, got {value!r}")
        if not math.isfinite(value):
            raise ValueError(f"{op}: {name} must be finite, got {value!r}")
    return {"scale": float(scale), "offset": float(offset)}
