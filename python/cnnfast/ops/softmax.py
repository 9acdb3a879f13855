"""Softmax over the last axis."""

from __future__ import annotations

from cnnfast.graph.values import Spec
from cnnfast.ops.core import Attributes, Op, Tensor, apply, require_float, unbroken


def _infer(specs: list[Spec | None], _: Attributes) -> list[Spec]:
    x = require_float("softmax", "x", unbroken("softmax", "x", specs[0]))
    if not x.shape:
        raise ValueError("softmax: x expects at least 1 dimension, got a scalar")
    for other in specs[1:]:
        y = require_float("softmax", "y", unbroken("softmax", "y", other))
        if y.shape != x.shape:
            raise ValueError(f"softmax: y expects shape {x.shape}, got {y.shape}")
    return [x]


SOFTMAX_BACKWARD = Op("softmax_backward", _infer)
SOFTMAX = Op("softmax", _infer, gradient=lambda node, grads, _: [apply(SOFTMAX_BACKWARD, [grads[0], node.outputs[0]])])


def softmax(x: Tensor) -> Tensor:
    """exp(x) divided by its sum over the last axis; safe for large x.

    Args:
        x: (..., K), float32.

    Returns:
        (..., K), positive, summing to 1.

    Example:
        >>> softmax(np.array([0.0, 0.0, 0.0, 0.0]))
        array([0.25, 0.25, 0.25, 0.25], dtype=float32)
    """
    return apply(SOFTMAX, [x])


def softmax_backward(dy: Tensor, y: Tensor) -> Tensor:
    """Gradient of `softmax` from its output y: y * (dy - sum of dy * y). Shapes (..., K)."""
    return apply(SOFTMAX_BACKWARD, [dy, y])
