"""Depthwise convolution in plain float64 NumPy: the oracle."""

from __future__ import annotations

import numpy as np

from tests.oracle.conv import Pads, output_size


def _taps(w, dy_shape, strides, dilation):
    """For each kernel element its place, and the rows and columns of the padded input that meet it."""
    for r in range(w.shape[0]):
        for s in range(w.shape[1]):
            first = (r * dilation[0], s * dilation[1])
            ends = (first[i] + (dy_shape[i + 1] - 1) * strides[i] + 1 for i in range(2))
            yield (r, s), *(slice(a, b, step) for a, b, step in zip(first, ends, strides, strict=True))


def _pad(x, pads: Pads):
    return np.pad(x.astype(np.float64), ((0, 0), pads[:2], pads[2:], (0, 0)))


def depthwise_conv2d(x, w, b, strides, dilation, pads: Pads):
    """w (R, S, C, M), b (C * M) or None; output channel c*M + m reads input channel c."""
    padded, w = _pad(x, pads), w.astype(np.float64)
    P = output_size(x.shape[1], w.shape[0], strides[0], dilation[0], *pads[:2])
    Q = output_size(x.shape[2], w.shape[1], strides[1], dilation[1], *pads[2:])
    y = np.zeros((x.shape[0], P, Q, *w.shape[2:]))
    for tap, rows, cols in _taps(w, y.shape, strides, dilation):
        y += padded[:, rows, cols, :, None] * w[tap]
    return y.reshape(*y.shape[:3], -1) + (0.0 if b is None else b)


def depthwise_conv2d_backward(dy, x, w, strides, dilation, pads: Pads):
    """dx, dw, db."""
    padded, w = _pad(x, pads), w.astype(np.float64)
    dy = dy.astype(np.float64).reshape(*dy.shape[:3], *w.shape[2:])
    dpadded, dw = np.zeros_like(padded), np.zeros_like(w)
    for tap, rows, cols in _taps(w, dy.shape, strides, dilation):
        dpadded[:, rows, cols] += (dy * w[tap]).sum(-1)
        dw[tap] = np.einsum("npqc,npqcm->cm", padded[:, rows, cols], dy)
    bottom, right = pads[0] + x.shape[1], pads[2] + x.shape[2]
    return dpadded[:, pads[0] : bottom, pads[2] : right], dw, dy.sum((0, 1, 2)).ravel()
