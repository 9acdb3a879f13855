"""Depthwise convolution: each channel is filtered on its own."""

from __future__ import annotations

from typing import Any

from cnnfast.graph.values import Node, Spec
from cnnfast.ops import window
from cnnfast.ops.conv import EPILOGUES, check_bias, conv_attributes, geometry, shape_of
from cnnfast.ops.core import Attributes, Op, Tensor, apply, require_float, unbroken
from cnnfast.ops.dense import bias_backward
from cnnfast.ops.window import IntPair


def _operands(op: str, x_name: str, specs: list[Spec | None]) -> tuple[Spec, Spec]:
    x = require_float(op, x_name, unbroken(op, x_name, specs[0], 4, "(N,H,W,C)"))
    w = require_float(op, "w", unbroken(op, "w", specs[1], 4, "(R,S,C,multiplier)"))
    return x, w


def _resolve(specs: list[Spec | None], a: Attributes) -> Attributes:
    x, w = _operands("depthwise_conv2d", "x", specs)
    return {**a, "padding": window.window_padding(window.spatial(x), w.known_shape[:2], a)}


def _infer(specs: list[Spec | None], a: Attributes) -> list[Spec]:
    op = "depthwise_conv2d"
    x, w = _operands(op, "x", specs)
    if x.shape[3] is not None and x.shape[3] != w.shape[2]:
        raise ValueError(f"{op}: w (R,S,C,multiplier)={w.shape} expects {w.shape[2]} channels, x has {x.shape}")
    filters = w.known_shape[2] * w.known_shape[3]
    check_bias(op, specs, filters)
    return [Spec((x.shape[0], *window.window_output(op, window.spatial(x), w.known_shape[:2], a), filters))]


def _gradient(node: Node, grads: list[Any], needs: list[bool]) -> list[Any]:
    x, w, _ = node.inputs
    assert x is not None and w is not None
    return list(_gradients(grads[0], x, w, geometry(node.attributes), needs))


def _gradients(dy: Tensor, x: Tensor, w: Tensor, a: Attributes, needs: list[bool]) -> tuple[Any, Any, Any]:
    (rows, columns), kernel = shape_of(x)[1:3], list(shape_of(w))
    return (
        apply(DEPTHWISE_CONV2D_BACKWARD_INPUT, [dy, w], {**a, "size": [rows, columns]}) if needs[0] else None,
        apply(DEPTHWISE_CONV2D_BACKWARD_WEIGHT, [dy, x], {**a, "kernel_shape": kernel}) if needs[1] else None,
        bias_backward(dy) if needs[2] else None,
    )


def _backward_input_infer(specs: list[Spec | None], a: Attributes) -> list[Spec]:
    op = "depthwise_conv2d_backward_input"
    dy, w = _operands(op, "dy", specs)
    R, S, C, multiplier = w.known_shape
    expected = (dy.shape[0], *window.window_output(op, a["size"], (R, S), a), C * multiplier)
    if dy.shape != expected:
        raise ValueError(f"{op}: expects dy (N,P,Q,K)={expected}, got {dy.shape}")
    return [Spec((dy.shape[0], *a["size"], C))]


def _backward_weight_infer(specs: list[Spec | None], a: Attributes) -> list[Spec]:
    op = "depthwise_conv2d_backward_weight"
    dy = require_float(op, "dy", unbroken(op, "dy", specs[0], 4, "(N,P,Q,K)"))
    x = require_float(op, "x", unbroken(op, "x", specs[1], 4, "(N,H,W,C)"))
    R, S, C, multiplier = a["kernel_shape"]
    expected = (x.shape[0], *window.window_output(op, window.spatial(x), (R, S), a), C * multiplier)
    if dy.shape != expected or x.shape[3] != C:
        raise ValueError(f"{op}: expects dy (N,P,Q,K)={expected} and {C} channels in x, got {dy.shape} and {x.shape}")
    return [Spec((R, S, C, multiplier))]


DEPTHWISE_CONV2D = Op("depthwise_conv2d", _infer, _gradient, _resolve, epilogues=EPILOGUES)
DEPTHWISE_CONV2D_BACKWARD_INPUT = Op("depthwise_conv2d_backward_input", _backward_input_infer)
DEPTHWISE_CONV2D_BACKWARD_WEIGHT = Op("depthwise_conv2d_backward_weight", _backward_weight_infer)


def depthwise_conv2d(
    x: Tensor,
    w: Tensor,
    b: Tensor | None = None,
    *,
    strides: IntPair = 1,
    padding: Any = "valid",
    dilation: IntPair = 1,
) -> Tensor:
    """Depthwise convolution: channel c is filtered by its own kernels w[:, :, c, m], into channel c * M + m.

    Args:
        x: (N, H, W, C).
        w: (R, S, C, M), M being the depth multiplier.
        b: (C * M,), or None.
        strides: step of the window, one integer or (rows, columns). Default 1.
        padding: "valid" (default), "same" or numbers, as in `conv2d`.
        dilation: distance between the window's elements. Default 1.

    Returns:
        (N, P, Q, C * M).

    Raises:
        ValueError: shapes that do not fit each other, a window larger than its padded input.

    Example:
        >>> w = np.ones((2, 2, 2, 1)) * [[1.0], [10.0]]
        >>> depthwise_conv2d(np.ones((1, 2, 2, 2)), w).ravel().tolist()
        [4.0, 40.0]

    Source: Sifre, "Rigid-motion scattering for image classification" (2014); Chollet, "Xception" (2017).
    """
    return apply(DEPTHWISE_CONV2D, [x, w, b], conv_attributes("depthwise_conv2d", strides, padding, dilation))


def depthwise_conv2d_backward(
    dy: Tensor,
    x: Tensor,
    w: Tensor,
    *,
    strides: IntPair = 1,
    padding: Any = "valid",
    dilation: IntPair = 1,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of `depthwise_conv2d`: from dy (N, P, Q, K) to dx (N, H, W, C), dw (R, S, C, M), db (K,).

    Example:
        >>> x, w = np.ones((1, 2, 2, 1)), np.full((2, 2, 1, 1), 3.0)
        >>> dx, dw, db = depthwise_conv2d_backward(np.ones((1, 1, 1, 1)), x, w)
        >>> dx.ravel().tolist(), dw.ravel().tolist(), db.tolist()
        ([3.0, 3.0, 3.0, 3.0], [1.0, 1.0, 1.0, 1.0], [1.0])
    """
    a = conv_attributes("depthwise_conv2d_backward", strides, padding, dilation)
    a["padding"] = window.window_padding(shape_of(x)[1:3], shape_of(w)[:2], a)
    return _gradients(dy, x, w, a, [True] * 3)
