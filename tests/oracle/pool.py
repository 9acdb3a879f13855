"""Pooling in plain float64 NumPy: the oracle."""

from __future__ import annotations

import numpy as np

from tests.oracle.conv import Pads, output_size


def windows(shape, size, strides, pads: Pads):
    """Yields (p, q, rows, cols, position of the first element): each window cut at the image's edges."""
    _, H, W, _ = shape
    for p in range(output_size(H, size[0], strides[0], 1, pads[0], pads[1])):
        top = p * strides[0] - pads[0]
        rows = slice(max(top, 0), min(top + size[0], H))
        for q in range(output_size(W, size[1], strides[1], 1, pads[2], pads[3])):
            left = q * strides[1] - pads[2]
            cols = slice(max(left, 0), min(left + size[1], W))
            yield p, q, rows, cols, (rows.start - top) * size[1] + cols.start - left


def _output(x, size, strides, pads, dtype=np.float64):
    P = output_size(x.shape[1], size[0], strides[0], 1, pads[0], pads[1])
    Q = output_size(x.shape[2], size[1], strides[1], 1, pads[2], pads[3])
    return np.empty((x.shape[0], P, Q, x.shape[3]), dtype)


def max_pool2d(x, size, strides, pads: Pads):
    """y, argmax (position of the first largest in its window)."""
    y, argmax = _output(x, size, strides, pads), _output(x, size, strides, pads, np.int64)
    for p, q, rows, cols, first in windows(x.shape, size, strides, pads):
        window = x[:, rows, cols].astype(np.float64)
        n, h, w, c = window.shape
        flat = window.reshape(n, h * w, c)
        best = flat.argmax(axis=1)
        y[:, p, q] = flat.max(axis=1)
        argmax[:, p, q] = first + best // w * size[1] + best % w
    return y, argmax


def max_pool2d_backward(dy, x, size, strides, pads: Pads):
    dx = np.zeros(x.shape)
    for p, q, rows, cols, _ in windows(x.shape, size, strides, pads):
        window = x[:, rows, cols]
        n, h, w, c = window.shape
        best = window.reshape(n, h * w, c).argmax(axis=1)
        for i in range(n):
            for k in range(c):
                dx[i, rows.start + best[i, k] // w, cols.start + best[i, k] % w, k] += dy[i, p, q, k]
    return dx


def average_pool2d(x, size, strides, pads: Pads):
    y = _output(x, size, strides, pads)
    for p, q, rows, cols, _ in windows(x.shape, size, strides, pads):
        y[:, p, q] = x[:, rows, cols].astype(np.float64).mean((1, 2))
    return y


def average_pool2d_backward(dy, x_shape, size, strides, pads: Pads):
    dx = np.zeros(x_shape)
    for p, q, rows, cols, _ in windows(x_shape, size, strides, pads):
        count = (rows.stop - rows.start) * (cols.stop - cols.start)
        dx[:, rows, cols] += dy[:, p : p + 1, q : q + 1] / count
    return dx
