"""Matrix products of dense layers."""

from __future__ import annotations

from typing import Any

from cnnfast.graph.values import Node, Spec
from cnnfast.ops.core import Attributes, Op, Tensor, apply, require_float, unbroken


def _operands(op: str, specs: list[Spec | None], name: str, axis: int) -> tuple[Spec, Spec]:
    x = require_float(op, name, unbroken(op, name, specs[0]))
    w = require_float(op, "w", unbroken(op, "w", specs[1], 2, "(in,out)"))
    if len(x.shape) < 2:
        raise ValueError(f"{op}: {name} expects at least 2 dimensions, got shape {x.shape}")
    if x.shape[-1] is not None and x.shape[-1] != w.shape[axis]:
        raise ValueError(f"{op}: w (in,out)={w.shape} expects {w.shape[axis]} features, {name} has shape {x.shape}")
    return x, w


def _dense_infer(specs: list[Spec | None], _: Attributes) -> list[Spec]:
    x, w = _operands("dense", specs, "x", 0)
    if specs[2] is not None and require_float("dense", "b", specs[2]).shape != w.shape[1:]:
        raise ValueError(f"dense: b expects shape {w.shape[1:]}, got {specs[2].shape}")
    return [Spec((*x.shape[:-1], w.shape[1]))]


def _dense_gradient(node: Node, grads: list[Any], needs: list[bool]) -> list[Any]:
    x, w, _ = node.inputs
    dy = grads[0]
    return [
        apply(DENSE_BACKWARD_INPUT, [dy, w]) if needs[0] else None,
        apply(DENSE_BACKWARD_WEIGHT, [dy, x]) if needs[1] else None,
        bias_backward(dy) if needs[2] else None,
    ]


def _backward_input_infer(specs: list[Spec | None], _: Attributes) -> list[Spec]:
    dy, w = _operands("dense_backward_input", specs, "dy", 1)
    return [Spec((*dy.shape[:-1], w.shape[0]))]


def _backward_weight_infer(specs: list[Spec | None], _: Attributes) -> list[Spec]:
    op = "dense_backward_weight"
    dy, x = (require_float(op, n, unbroken(op, n, s)) for n, s in zip(("dy", "x"), specs, strict=True))
    if dy.shape[:-1] != x.shape[:-1]:
        raise ValueError(f"{op}: dy and x must agree but for the last dimension, got {dy.shape} and {x.shape}")
    return [Spec((x.shape[-1], dy.shape[-1]))]


def _bias_backward_infer(specs: list[Spec | None], _: Attributes) -> list[Spec]:
    dy = require_float("bias_backward", "dy", unbroken("bias_backward", "dy", specs[0]))
    return [Spec((dy.shape[-1],))]


DENSE = Op("dense", _dense_infer, _dense_gradient, epilogues=frozenset({"relu", "relu6"}), packs=True)
DENSE_BACKWARD_INPUT = Op("dense_backward_input", _backward_input_infer)
DENSE_BACKWARD_WEIGHT = Op("dense_backward_weight", _backward_weight_infer)
BIAS_BACKWARD = Op("bias_backward", _bias_backward_infer)


def dense(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    """x times w plus b, over the last axis.

    Args:
        x: (..., in).
        w: (in, out).
        b: (out,), or None.

    Returns:
        (..., out).

    Raises:
        ValueError: shapes that do not fit each other.

    Example:
        >>> dense([[1.0, 2.0]], [[1.0], [10.0]], [0.5])
        array([[21.5]], dtype=float32)
    """
    return apply(DENSE, [x, w, b])


def dense_backward(dy: Tensor, x: Tensor, w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of `dense`: from dy (..., out) to dx (..., in), dw (in, out) and db (out,)."""
    return apply(DENSE_BACKWARD_INPUT, [dy, w]), apply(DENSE_BACKWARD_WEIGHT, [dy, x]), bias_backward(dy)


def bias_backward(dy: Tensor) -> Tensor:
    """Gradient of a bias that was added along the last axis: the sum of dy over all other axes."""
    return apply(BIAS_BACKWARD, [dy])
