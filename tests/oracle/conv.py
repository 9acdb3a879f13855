"""Convolution in plain float64 NumPy: the oracle."""

from __future__ import annotations

import numpy as np

Pads = tuple[int, int, int, int]


def _patches(x, R, S, P, Q, strides, dilation, pads: Pads):
    """(N, P, Q, R, S, C) view of the zero-padded input."""
    top, bottom, left, right = pads
    padded = np.pad(x.astype(np.float64), ((0, 0), (top, bottom), (left, right), (0, 0)))
    out = np.empty((x.shape[0], P, Q, R, S, x.shape[3]))
    for p in range(P):
        for q in range(Q):
            for r in range(R):
                for s in range(S):
                    out[:, p, q, r, s] = padded[:, p * strides[0] + r * dilation[0], q * strides[1] + s * dilation[1]]
    return out


def output_size(n, k, stride, dilation, lo, hi):
    return (n + lo + hi - ((k - 1) * dilation + 1)) // stride + 1


def same_pads(shape, kernel, strides, dilation) -> Pads:
    pads = []
    for n, k, st, d in zip(shape, kernel, strides, dilation, strict=True):
        total = max((-(-n // st) - 1) * st + (k - 1) * d + 1 - n, 0)
        pads += [total // 2, total - total // 2]
    return tuple(pads)


def conv2d(x, w, b, strides, dilation, pads: Pads, groups):
    R, S, Cg, K = w.shape
    P = output_size(x.shape[1], R, strides[0], dilation[0], pads[0], pads[1])
    Q = output_size(x.shape[2], S, strides[1], dilation[1], pads[2], pads[3])
    patches = _patches(x, R, S, P, Q, strides, dilation, pads)
    Kg = K // groups
    parts = [
        np.einsum(
            "npqrsc,rsck->npqk",
            patches[..., g * Cg : (g + 1) * Cg],
            w[..., g * Kg : (g + 1) * Kg].astype(float),
        )
        for g in range(groups)
    ]
    y = np.concatenate(parts, axis=-1)
    return y if b is None else y + b.astype(float)


def conv2d_backward(dy, x, w, strides, dilation, pads: Pads, groups):
    """dx, dw, db."""
    R, S, Cg, K = w.shape
    dy = dy.astype(np.float64)
    _, P, Q, _ = dy.shape
    patches = _patches(x, R, S, P, Q, strides, dilation, pads)
    Kg = K // groups
    dw = np.empty(w.shape)
    top, bottom, left, right = pads
    padded = np.zeros((x.shape[0], x.shape[1] + top + bottom, x.shape[2] + left + right, x.shape[3]))
    for g in range(groups):
        cs, ks = slice(g * Cg, (g + 1) * Cg), slice(g * Kg, (g + 1) * Kg)
        dw[..., ks] = np.einsum("npqrsc,npqk->rsck", patches[..., cs], dy[..., ks])
        dpatch = np.einsum("npqk,rsck->npqrsc", dy[..., ks], w[..., ks].astype(float))
        for p in range(P):
            for q in range(Q):
                for r in range(R):
                    for s in range(S):
                        padded[:, p * strides[0] + r * dilation[0], q * strides[1] + s * dilation[1], cs] += dpatch[
                            :, p, q, r, s
                        ]
    dx = padded[:, top : top + x.shape[1], left : left + x.shape[2]]
    return dx, dw, dy.sum((0, 1, 2))
