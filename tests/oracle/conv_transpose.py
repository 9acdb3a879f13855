"""Transposed convolution in plain float64 NumPy: every input pixel stamps its window onto the output."""

from __future__ import annotations

import numpy as np


def conv2d_transpose(x, w, b, strides, dilation, size, pads):
    """x (N,H,W,C), w (R,S,K,C) -> (N, *size, K); `pads` (top, left) are cut off the stamped canvas."""
    N, H, W, _ = x.shape
    R, S, K, _ = w.shape
    rows = max((H - 1) * strides[0] + (R - 1) * dilation[0] + 1, pads[0] + size[0])
    cols = max((W - 1) * strides[1] + (S - 1) * dilation[1] + 1, pads[1] + size[1])
    canvas = np.zeros((N, rows, cols, K))
    for h in range(H):
        for v in range(W):
            for r in range(R):
                for s in range(S):
                    pixel = canvas[:, h * strides[0] + r * dilation[0], v * strides[1] + s * dilation[1]]
                    pixel += x[:, h, v].astype(float) @ w[r, s].astype(float).T
    y = canvas[:, pads[0] : pads[0] + size[0], pads[1] : pads[1] + size[1]]
    return y if b is None else y + b.astype(float)
