"""Enlarging images by whole factors."""

from __future__ import annotations

from typing import Any

from cnnfast.graph.values import Node, Spec
from cnnfast.ops.core import Attributes, Op, Tensor, apply, require_float, unbroken
from cnnfast.ops.window import IntPair, int_pair


def _upsample(name: str) -> tuple[Op, Op]:
    """An op that enlarges, and its gradient."""

    def infer(specs: list[Spec | None], a: Attributes) -> list[Spec]:
        x = require_float(name, "x", unbroken(name, "x", specs[0], 4, "(N,H,W,C)"))
        rows, cols = (None if d is None else d * f for d, f in zip(x.shape[1:3], a["size"], strict=True))
        return [Spec((x.shape[0], rows, cols, x.shape[3]))]

    def backward_infer(specs: list[Spec | None], a: Attributes) -> list[Spec]:
        op = f"{name}_backward"
        dy = require_float(op, "dy", unbroken(op, "dy", specs[0], 4, "(N,P,Q,C)"))
        P, Q = dy.known_shape[1:3]
        if P % a["size"][0] or Q % a["size"][1]:
            raise ValueError(f"{op}: dy (P,Q)=({P}, {Q}) is no multiple of size {tuple(a['size'])}")
        return [Spec((dy.shape[0], P // a["size"][0], Q // a["size"][1], dy.shape[3]))]

    def gradient(node: Node, grads: list[Any], _: list[bool]) -> list[Any]:
        return [apply(backward, [grads[0]], node.attributes)]

    def backward_gradient(node: Node, grads: list[Any], _: list[bool]) -> list[Any]:
        return [apply(forward, [grads[0]], node.attributes)]

    forward = Op(name, infer, gradient)
    backward = Op(f"{name}_backward", backward_infer, backward_gradient)
    return forward, backward


_OPS = {"nearest": _upsample("upsample_nearest"), "bilinear": _upsample("upsample_bilinear")}


def _chosen(op: str, size: IntPair, interpolation: str) -> tuple[tuple[Op, Op], Attributes]:
    if interpolation not in _OPS:
        raise ValueError(f"{op}: interpolation must be 'nearest' or 'bilinear', got {interpolation!r}")
    return _OPS[interpolation], {"size": int_pair(op, "size", size)}


def upsample2d(x: Tensor, size: IntPair = 2, interpolation: str = "nearest") -> Tensor:
    """Images enlarged by whole factors.

    Args:
        x: (N, H, W, C).
        size: one factor, or (rows, columns).
        interpolation: "nearest" repeats pixels; "bilinear" mixes the nearest four, measured between pixel
            centres, the border repeated beyond itself.

    Returns:
        (N, H * rows, W * columns, C).

    Raises:
        ValueError: a factor below 1, another interpolation, x not of 4 dimensions.

    Example:
        >>> upsample2d(np.array([[[[1.0], [3.0]]]]), (1, 2), "bilinear").ravel()
        array([1. , 1.5, 2.5, 3. ], dtype=float32)
    """
    (forward, _), attributes = _chosen("upsample2d", size, interpolation)
    return apply(forward, [x], attributes)


def upsample2d_backward(dy: Tensor, size: IntPair = 2, interpolation: str = "nearest") -> Tensor:
    """Gradient of `upsample2d`: from dy (N, H * rows, W * columns, C) to dx (N, H, W, C)."""
    (_, backward), attributes = _chosen("upsample2d_backward", size, interpolation)
    return apply(backward, [dy], attributes)
