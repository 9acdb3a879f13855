"""Convolution: forward, and each gradient."""

from __future__ import annotations

from typing import Any

from cnnfast.graph.values import Node, Spec, given
from cnnfast.ops import window
from cnnfast.ops.core import Attributes, Op, Tensor, apply, require_float, unbroken
from cnnfast.ops.dense import bias_backward
from cnnfast.ops.window import IntPair

EPILOGUES = frozenset({"relu", "relu6"})


def check_operands(op: str, specs: list[Spec | None]) -> tuple[Spec, Spec]:
    x = require_float(op, "x", unbroken(op, "x", specs[0], 4, "(N,H,W,C)"))
    w = require_float(op, "w", unbroken(op, "w", specs[1], 4, "(R,S,C,K)"))
    return x, w


def check_bias(op: str, specs: list[Spec | None], channels: int | None) -> None:
    if len(specs) < 3 or specs[2] is None:
        return
    b = require_float(op, "b", specs[2])
    if b.shape != (channels,):
        raise ValueError(f"{op}: b expects shape ({channels},), got {b.shape}")


def _conv2d_resolve(specs: list[Spec | None], a: Attributes) -> Attributes:
    x, w = check_operands("conv2d", specs)
    return {**a, "padding": window.window_padding(window.spatial(x), w.known_shape[:2], a)}


def _conv2d_infer(specs: list[Spec | None], a: Attributes) -> list[Spec]:
    x, w = check_operands("conv2d", specs)
    groups, channels, filters = a["groups"], x.shape[3], w.known_shape[3]
    if (channels is not None and w.shape[2] != channels // groups) or (channels is not None and channels % groups):
        raise ValueError(
            f"conv2d: w expects {(w.shape[2] or 0) * groups} input channels (R,S,C,K)={w.shape}"
            f"{f' in {groups} groups' if groups > 1 else ''}, x has (N,H,W,C)={x.shape}"
        )
    if filters % groups:
        raise ValueError(f"conv2d: {filters} filters cannot be split into {groups} groups")
    check_bias("conv2d", specs, filters)
    rows, cols = window.window_output("conv2d", window.spatial(x), w.known_shape[:2], a, channels)
    return [Spec((x.shape[0], rows, cols, filters))]


def _conv2d_gradient(node: Node, grads: list[Any], needs: list[bool]) -> list[Any]:
    x, w = given(node, 0), given(node, 1)
    dy, a = grads[0], geometry(node.attributes)
    return [
        apply(CONV2D_BACKWARD_INPUT, [dy, w, None], {**a, "size": list(x.shape[1:3])}) if needs[0] else None,
        apply(CONV2D_BACKWARD_WEIGHT, [dy, x], {**a, "kernel_size": list(w.shape[:2])}) if needs[1] else None,
        bias_backward(dy) if needs[2] else None,
    ]


def geometry(a: Attributes) -> Attributes:
    return {k: a[k] for k in ("strides", "padding", "dilation", "groups") if k in a}


def _conv2d_backward_input_infer(specs: list[Spec | None], a: Attributes) -> list[Spec]:
    op = "conv2d_backward_input"
    dy, w = check_operands(op, specs)
    channels = w.known_shape[2] * a["groups"]
    if dy.shape[3] != w.shape[3]:
        raise ValueError(f"{op}: w expects {w.shape[3]} output channels (R,S,C,K)={w.shape}, dy has {dy.shape}")
    check_bias(op, specs, channels)
    out = window.window_output(op, a["size"], w.known_shape[:2], a, channels)
    if None not in dy.shape[1:3] and tuple(out) != dy.shape[1:3]:
        raise ValueError(f"{op}: an input of {tuple(a['size'])} gives dy (P,Q)={tuple(out)}, got {dy.shape[1:3]}")
    return [Spec((dy.shape[0], *a["size"], channels))]


def _conv2d_backward_weight_infer(specs: list[Spec | None], a: Attributes) -> list[Spec]:
    op = "conv2d_backward_weight"
    dy = require_float(op, "dy", unbroken(op, "dy", specs[0], 4, "(N,P,Q,K)"))
    x = require_float(op, "x", unbroken(op, "x", specs[1], 4, "(N,H,W,C)"))
    out = window.window_output(op, window.spatial(x), a["kernel_size"], a, x.shape[3])
    if dy.shape[:3] != (x.shape[0], *out):
        raise ValueError(f"{op}: x {x.shape} gives dy (N,P,Q)={(x.shape[0], *out)}, got {dy.shape[:3]}")
    if x.known_shape[3] % a["groups"] or dy.known_shape[3] % a["groups"]:
        raise ValueError(f"{op}: channels {x.shape[3]} and {dy.shape[3]} cannot be split into {a['groups']} groups")
    return [Spec((*a["kernel_size"], x.known_shape[3] // a["groups"], dy.shape[3]))]


def _transpose_gradient(node: Node, grads: list[Any], needs: list[bool]) -> list[Any]:
    """The gradients of conv2d_backward_input as an op of its own: it is linear in dy and in w."""
    x, w = given(node, 0), given(node, 1)
    dy, a = grads[0], geometry(node.attributes)
    return [
        apply(CONV2D, [dy, w, None], a) if needs[0] else None,
        apply(CONV2D_BACKWARD_WEIGHT, [x, dy], {**a, "kernel_size": list(w.shape[:2])}) if needs[1] else None,
        bias_backward(dy) if needs[2] else None,
    ]


CONV2D = Op("conv2d", _conv2d_infer, _conv2d_gradient, _conv2d_resolve, epilogues=EPILOGUES, inplace=3, packs=True)
CONV2D_BACKWARD_INPUT = Op(
    "conv2d_backward_input",
    _conv2d_backward_input_infer,
    _transpose_gradient,
    epilogues=EPILOGUES,
    inplace=3,
    packs=True,
)
CONV2D_BACKWARD_WEIGHT = Op("conv2d_backward_weight", _conv2d_backward_weight_infer)
PACK_WEIGHTS = Op("pack_weights", lambda _, a: [Spec((a["floats"],))])


def conv_attributes(op: str, strides: IntPair, padding: Any, dilation: IntPair, groups: int = 1) -> Attributes:
    if not isinstance(groups, int) or groups < 1:
        raise ValueError(f"{op}: groups must be an integer of at least 1, got {groups!r}")
    return {
        "strides": window.int_pair(op, "strides", strides),
        "padding": window.normal_padding(op, padding),
        "dilation": window.int_pair(op, "dilation", dilation),
        "groups": groups,
    }


def conv2d(
    x: Tensor,
    w: Tensor,
    b: Tensor | None = None,
    *,
    strides: IntPair = 1,
    padding: Any = "valid",
    dilation: IntPair = 1,
    groups: int = 1,
) -> Tensor:
    """Two-dimensional convolution (cross-correlation, as in every deep-learning library).

    y[n,p,q,k] = b[k] + sum over r,s,c of x[n, p*stride + r*dilation - pad, ..., c] * w[r,s,c,k]

    Args:
        x: (N, H, W, C).
        w: (R, S, C // groups, K).
        b: (K,), or None.
        strides: step of the window, one integer or (rows, columns).
        padding: "valid" (none), "same" (output is ceil(input / stride); the odd row or column goes to the bottom or
            right), an integer, (rows, columns), or ((top, bottom), (left, right)).
        dilation: distance between the window's elements.
        groups: input and output channels are split into this many independent parts.

    Returns:
        (N, P, Q, K).

    Raises:
        ValueError: shapes that do not fit each other, a window larger than its padded input.
        TypeError: operands that are not real numbers.

    Example:
        >>> conv2d(np.ones((1, 3, 3, 1)), np.ones((2, 2, 1, 1)))[0, :, :, 0]
        array([[4., 4.],
               [4., 4.]], dtype=float32)

    Source: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning" (2016).
    """
    return apply(CONV2D, [x, w, b], conv_attributes("conv2d", strides, padding, dilation, groups))


def conv2d_backward(
    dy: Tensor,
    x: Tensor,
    w: Tensor,
    *,
    strides: IntPair = 1,
    padding: Any = "valid",
    dilation: IntPair = 1,
    groups: int = 1,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of `conv2d`: from dy (N, P, Q, K) to dx (N, H, W, C), dw (R, S, C // groups, K) and db (K,).

    Example:
        >>> x, w = np.ones((1, 3, 3, 1)), np.ones((2, 2, 1, 1))
        >>> dx, dw, db = conv2d_backward(np.ones((1, 2, 2, 1)), x, w)
        >>> dx[0, :, :, 0].tolist(), dw.ravel().tolist(), db.tolist()
        ([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]], [4.0, 4.0, 4.0, 4.0], [4.0])
    """
    a = conv_attributes("conv2d_backward", strides, padding, dilation, groups)
    x_shape, w_shape = shape_of(x), shape_of(w)
    a["padding"] = window.window_padding(x_shape[1:3], w_shape[:2], a)
    dx = apply(CONV2D_BACKWARD_INPUT, [dy, w, None], {**a, "size": list(x_shape[1:3])})
    dw = apply(CONV2D_BACKWARD_WEIGHT, [dy, x], {**a, "kernel_size": list(w_shape[:2])})
    return dx, dw, bias_backward(dy)


def shape_of(x: Any) -> tuple[Any, ...]:
    import numpy as np

    return tuple(x.shape) if hasattr(x, "shape") else np.shape(x)
