"""Depthwise convolution in plain float64 NumPy: the oracle."""

from __future__ import annotations

from tests.oracle import conv


def depthwise_conv2d(x, w, b, strides, dilation, pads: conv.Pads):
    """w (R, S, C, M); output channel c*M + m reads input channel c: a convolution with one group a channel."""
    return conv.conv2d(x, _grouped(w), b, strides, dilation, pads, x.shape[3])


def depthwise_conv2d_backward(dy, x, w, strides, dilation, pads: conv.Pads):
    """dx, dw, db."""
    dx, dw, db = conv.conv2d_backward(dy, x, _grouped(w), strides, dilation, pads, x.shape[3])
    return dx, dw.reshape(w.shape), db


def _grouped(w):
    return w.reshape(*w.shape[:2], 1, -1)
