"""Upsampling as a matrix for each axis, in float64; the gradient is its transpose."""

from __future__ import annotations

import numpy as np


def _matrix(size, factor, interpolation):
    """(size * factor, size): row p holds the weights of the inputs in output p."""
    weights = np.zeros((size * factor, size))
    for p in range(size * factor):
        if interpolation == "nearest":
            weights[p, p // factor] = 1
            continue
        centre = (p + 0.5) / factor - 0.5
        lo = int(np.floor(centre))
        for i, w in ((lo, 1 - (centre - lo)), (lo + 1, centre - lo)):
            weights[p, np.clip(i, 0, size - 1)] += w
    return weights


def upsample2d(x, factor, interpolation):
    rows, cols = (_matrix(n, f, interpolation) for n, f in zip(x.shape[1:3], factor, strict=True))
    return np.einsum("pi,qj,nijc->npqc", rows, cols, x)


def upsample2d_backward(dy, factor, interpolation):
    sizes = (n // f for n, f in zip(dy.shape[1:3], factor, strict=True))
    rows, cols = (_matrix(n, f, interpolation) for n, f in zip(sizes, factor, strict=True))
    return np.einsum("pi,qj,npqc->nijc", rows, cols, dy)
