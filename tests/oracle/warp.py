"""An affine warp in naive float64: coefficients by solving the equations that define them, one pixel at a time."""

from __future__ import annotations

from math import comb, factorial, floor

import numpy as np

NEAREST_PAD = 12  # edge pixels that SciPy repeats before it computes coefficients


def bspline(order: int, x: float) -> float:
    """The centred B-spline, as a sum of truncated powers (Schoenberg 1946)."""
    terms = ((-1) ** k * comb(order + 1, k) * max(x - k + (order + 1) / 2, 0.0) ** order for k in range(order + 2))
    return sum(terms) / factorial(order)


def _mirror(i: int, n: int) -> int:
    """abcd -> dcb|abcd|cba"""
    i = abs(i) % max(2 * n - 2, 1)
    return i if i < n else 2 * n - 2 - i


def _half_mirror(i: int, n: int) -> int:
    """abcd -> dcba|abcd|dcba"""
    i %= 2 * n
    return i if i < n else 2 * n - 1 - i


def _last(i: int, n: int) -> int:
    return min(max(i, 0), n - 1)


PAST = {"nearest": _last, "constant": _mirror, "reflect": _half_mirror, "wrap": _mirror}


def _coefficients(x: np.ndarray, order: int, past) -> np.ndarray:
    """Along the first axis: coefficients whose spline passes through x."""
    n = len(x)
    if n == 1:
        return x
    matrix = np.zeros((n, n))
    for i in range(n):
        for k in range(-order, order + 1):
            matrix[i, past(i + k, n)] += bspline(order, float(k))
    return np.linalg.solve(matrix, x.reshape(n, -1)).reshape(x.shape)


def inner(c: float, n: int, fill_mode: str) -> float | None:
    """Where a coordinate outside an image finds its content; None: the constant."""
    if 0 <= c <= n - 1 or fill_mode == "unbounded":
        return c
    if fill_mode == "constant":
        return None
    if fill_mode == "nearest":
        return min(max(c, 0.0), n - 1.0)
    if n == 1:
        return 0.0
    if fill_mode == "wrap":
        return c % (n - 1)
    c = (c + 0.5) % (2 * n) - 0.5
    return c if c <= n - 0.5 else 2 * n - 1 - c


def warp(x: np.ndarray, m: np.ndarray, size, order: int, fill_mode: str, cval: float) -> np.ndarray:
    """Of one image (H,W,C)."""
    x = x.astype(np.float64)
    past, pad = PAST[fill_mode], 0
    if order > 1:
        pad = NEAREST_PAD if fill_mode == "nearest" else 0
        x = np.pad(x, ((pad, pad), (pad, pad), (0, 0)), mode="edge")
        solve_past = _half_mirror if fill_mode == "nearest" else past
        x = _coefficients(x, order, solve_past)
        x = _coefficients(x.swapaxes(0, 1), order, solve_past).swapaxes(0, 1)
    y = np.empty((*size, x.shape[2]))
    for p in range(size[0]):
        for q in range(size[1]):
            # SciPy's splines of `nearest` go on past the padded edge, where coefficients are repeated.
            mode = "unbounded" if fill_mode == "nearest" and order > 1 else fill_mode
            where = [inner((p * a + q * b) + c + pad, n, mode) for (a, b, c), n in zip(m, x.shape, strict=False)]
            if None in where:
                y[p, q] = cval
                continue
            taps = []
            for c, n in zip(where, x.shape, strict=False):
                first = floor(c) - order // 2 if order % 2 else floor(c + 0.5) - order // 2
                weights = [1.0] if order == 0 else [bspline(order, c - first - k) for k in range(order + 1)]
                taps.append([(past(first + k, n), w) for k, w in enumerate(weights)])
            y[p, q] = sum(v * w * x[i, j] for i, v in taps[0] for j, w in taps[1])
    return y
