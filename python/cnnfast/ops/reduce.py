"""Sums and means along axes, and the sums that regularizers need."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnfast.graph.values import Node, Shape, Spec
from cnnfast.ops.core import Attributes, Op, Tensor, apply, require_float, unbroken
from cnnfast.ops.shape import reshape


def _sum_infer(specs: list[Spec | None], a: Attributes) -> list[Spec]:
    x = require_float("sum", "x", unbroken("sum", "x", specs[0]))
    if a["keepdims"]:
        return [Spec(tuple(1 if d in a["axes"] else size for d, size in enumerate(x.shape)))]
    return [Spec(tuple(size for d, size in enumerate(x.shape) if d not in a["axes"]))]


def _sum_gradient(node: Node, grads: list[Any], _: list[bool]) -> list[Any]:
    x = node.inputs[0]
    assert x is not None
    shape, a = x.spec.known_shape, node.attributes
    dy = grads[0]
    if not isinstance(dy, (int, float)):
        dy = reshape(dy, [1 if d in a["axes"] else size for d, size in enumerate(shape)])
    return [apply(BROADCAST_TO, [dy], {"shape": list(shape), "scale": a["scale"]})]


def _broadcast_infer(specs: list[Spec | None], a: Attributes) -> list[Spec]:
    require_float("broadcast_to", "x", unbroken("broadcast_to", "x", specs[0]))
    return [Spec(tuple(a["shape"]))]


def _broadcast_gradient(node: Node, grads: list[Any], _: list[bool]) -> list[Any]:
    x = node.inputs[0]
    assert x is not None
    return [sum_to(grads[0], x.spec.known_shape, node.attributes["scale"])]


def _scalar_infer(name: str) -> Any:
    def infer(specs: list[Spec | None], _: Attributes) -> list[Spec]:
        require_float(name, "x", unbroken(name, "x", specs[0]))
        return [Spec(())]

    return infer


def _scalar_backward_infer(specs: list[Spec | None], _: Attributes) -> list[Spec]:
    assert specs[1] is not None
    return [specs[1]]


def _sum_all(name: str) -> Op:
    """An op from a tensor to a scalar whose gradient reads the tensor."""
    backward = Op(f"{name}_backward", _scalar_backward_infer)

    def gradient(node: Node, grads: list[Any], _: list[bool]) -> list[Any]:
        return [apply(backward, [grads[0], node.inputs[0]], node.attributes)]

    return Op(name, _scalar_infer(name), gradient)


def _sum_resolve(specs: list[Spec | None], a: Attributes) -> Attributes:
    """A mean divides by sizes that a model may learn only from its data: whenever it is applied anew."""
    sizes = [specs[0].shape[d] for d in a["axes"]] if a.get("mean") and specs[0] is not None else [None]
    return a if None in sizes else {**a, "scale": 1.0 / math.prod(d for d in sizes if d is not None)}


SUM = Op("sum", _sum_infer, _sum_gradient, _sum_resolve)
BROADCAST_TO = Op("broadcast_to", _broadcast_infer, _broadcast_gradient)
SUM_SQUARES = _sum_all("sum_squares")
SUM_ABS = _sum_all("sum_abs")

Axis = int | Sequence[int] | None


def _axes(op: str, x: Tensor, axis: Axis) -> list[int]:
    """The axes as sorted numbers from 0."""
    rank = len(np.shape(x))
    if axis is None:
        return list(range(rank))
    given = [axis] if isinstance(axis, (int, np.integer)) else list(axis)
    if not all(isinstance(d, (int, np.integer)) and -rank <= d < rank for d in given):
        raise ValueError(f"{op}: axis must lie in [-{rank}, {rank}) for shape {np.shape(x)}, got {axis!r}")
    axes = sorted({int(d) % rank for d in given})
    if len(axes) != len(given):
        raise ValueError(f"{op}: axis names an axis twice: {axis!r}")
    return axes


def sum(x: Tensor, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """The sum of x along one axis, several, or all.

    Args:
        x: tensor of any shape, float32.
        axis: the axes to add up; None for all.
        keepdims: whether those axes stay, with size 1.

    Raises:
        ValueError: an axis that x does not have, or one named twice.

    Example:
        >>> sum(np.ones((2, 3, 4)), axis=(0, 2))
        array([8., 8., 8.], dtype=float32)
    """
    return apply(SUM, [x], {"axes": _axes("sum", x, axis), "keepdims": bool(keepdims), "scale": 1.0})


def mean(x: Tensor, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """The mean of x along one axis, several, or all; see `sum`.

    Example:
        >>> float(mean(np.array([1.0, 2.0, 6.0])))
        3.0
    """
    axes, shape = _axes("mean", x, axis), np.shape(x)
    if any(shape[d] == 0 for d in axes):
        raise ValueError(f"mean: x has a dimension of size 0: shape {shape}")
    return apply(SUM, [x], {"axes": axes, "keepdims": bool(keepdims), "scale": 1.0, "mean": True})


def sum_squares(x: Tensor, scale: float = 1.0) -> Tensor:
    """scale times the sum of all squares of x, a scalar.

    Example:
        >>> float(sum_squares(np.array([3.0, 4.0]), scale=0.5))
        12.5
    """
    return apply(SUM_SQUARES, [x], {"scale": float(scale)})


def sum_abs(x: Tensor, scale: float = 1.0) -> Tensor:
    """scale times the sum of all magnitudes of x, a scalar. Its gradient at 0 is 0.

    Example:
        >>> float(sum_abs(np.array([-3.0, 4.0])))
        7.0
    """
    return apply(SUM_ABS, [x], {"scale": float(scale)})


def sum_to(x: Tensor, shape: Shape, scale: float = 1.0) -> Tensor:
    """scale * x, summed over the axes along which a tensor of `shape` was repeated to give x.

    That is the gradient of broadcasting. A plain number, the gradient of a scalar loss, stays one.
    """
    if isinstance(x, (int, float)):
        return x * scale
    have = np.shape(x)
    lead = len(have) - len(shape)
    axes = [d for d, size in enumerate(have) if d < lead or (shape[d - lead] == 1 and size != 1)]
    if axes or scale != 1.0:
        x = apply(SUM, [x], {"axes": axes, "keepdims": True, "scale": scale})
    return x if np.shape(x) == tuple(shape) else reshape(x, [d or 1 for d in shape])
