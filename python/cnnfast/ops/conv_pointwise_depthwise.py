"""A 1x1 convolution and the depthwise one behind it as one op, which the compiler makes of two."""

from __future__ import annotations

from cnnfast.graph.values import Spec
from cnnfast.ops import window
from cnnfast.ops.conv import EPILOGUES, check_bias, check_operands
from cnnfast.ops.core import Attributes, Op, require_float, unbroken


def _infer(specs: list[Spec | None], a: Attributes) -> list[Spec]:
    """x, w (1,1,C,K), b (K,) or None, depthwise w (R,S,K,1), depthwise b (K,) or None -> y."""
    op = "pointwise_depthwise_conv2d"
    x, w = check_operands(op, specs)
    channels = w.known_shape[3]
    if w.known_shape[:2] != (1, 1) or x.shape[3] != w.shape[2]:
        raise ValueError(f"{op}: w expects (R,S,C,K)=(1, 1, {x.shape[3]}, K), got {w.shape}")
    filters = require_float(op, "depthwise w", unbroken(op, "depthwise w", specs[3], 4, "(R,S,K,1)"))
    if filters.known_shape[2:] != (channels, 1):
        raise ValueError(f"{op}: depthwise w expects (R,S,K,1) with K={channels}, got {filters.shape}")
    check_bias(op, specs[:3], channels)
    check_bias(op, [x, filters, *specs[4:]], channels)
    rows, cols = window.window_output(op, window.spatial(x), filters.known_shape[:2], a)
    return [Spec((x.shape[0], rows, cols, channels))]


POINTWISE_DEPTHWISE_CONV2D = Op("pointwise_depthwise_conv2d", _infer, epilogues=EPILOGUES, packs=True)
