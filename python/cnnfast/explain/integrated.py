"""Integrated gradients: what each value of an input contributes to the difference from a baseline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cnnfast.explain.gradient import Channels, check_channels, shown
from cnnfast.explain.probe import BATCH_SIZE, Probe, whole_number
from cnnfast.explain.targets import TargetLike
from cnnfast.explain.variants import Explained
from cnnfast.models.model import Model


def integrated_gradients(
    model: Model,
    x: Any,
    target: TargetLike = None,
    *,
    baseline: Any = 0,
    n_steps: int = 50,
    method: str = "gausslegendre",
    return_error: bool = False,
    channels: Channels = "keep",
    output: int | str = 0,
    batch_size: int = BATCH_SIZE,
) -> Any:
    """Integrated gradients: (x - baseline) times the mean gradient on the straight way from the baseline to x.

    The contributions sum to f(x) - f(baseline), f being the score, up to the error of the quadrature. Memory does not
    grow with `n_steps`.

    Args:
        model, output: see `saliency`.
        x: images (N, H, W, C) as the model takes them, uint8 or float; a list for a model with several inputs.
        target: see `saliency`. By default the class that the image itself has.
        baseline: what stands for "nothing there", in the units of x: a number, or an array that can be broadcast to x,
            as (H, W, C). A list is of several baselines, over which the contributions are averaged. A tuple has one
            for each input of a model with several.
        n_steps: points on the way, from 1, with "riemann_trapezoid" from 2.
        method: the quadrature: "gausslegendre", Captum's default and the most exact, "riemann_left", "riemann_right",
            "riemann_middle" or "riemann_trapezoid". The weights always sum to 1, those of Captum's trapezoids to
            (n_steps - 1) / n_steps.
        return_error: also return by how much completeness is missed.
        channels: "keep", or "sum" for what a pixel contributes in all; "max" is its largest contribution.
        batch_size: points run at once.

    Returns:
        float32 (N, H, W, C), signed, in units of the score; (N, H, W) where `channels` is not "keep"; a list of them
        if x is one. With `return_error` a pair: this and float64 (N,), the sum of an image's contributions less
        f(x) - f(baseline), Captum's convergence delta. An error that matters asks for more steps.

    Raises:
        ValueError: a baseline that does not fit, too few steps, another method, and as `saliency`.
        TypeError: no model, no numbers.

    Source: Sundararajan, Taly and Yan, "Axiomatic attribution for deep networks" (2017), eq. 1 and 3; several
    baselines: Sturmfels, Lundberg and Lee, "Visualizing the impact of feature attribution baselines" (2020).

    Example:
        >>> contributions, error = integrated_gradients(convnet, images, target=1, return_error=True)
        >>> contributions.shape, bool(np.abs(error).max() < 1e-3)
        ((4, 16, 16, 3), True)
    """
    op = "integrated_gradients"
    explained = Explained.of(model, x, target, op=op, output=output, batch_size=batch_size)
    probe = explained.probe
    check_channels(probe, channels)
    points, weights = _quadrature(op, method, n_steps)
    baselines = [_checked_baseline(probe, b) for b in (baseline if isinstance(baseline, list) else [baseline])]
    if not baselines:
        raise ValueError(f"{op}: baseline is an empty list")

    def on_the_way(sample: int, variant: int) -> list[np.ndarray]:
        which, step = divmod(variant, len(points))
        return [
            (b[sample] + points[step] * (a[sample] - b[sample].astype(np.float64))).astype(np.float32)
            for a, b in zip(probe.xs, baselines[which], strict=True)
        ]

    totals = [np.zeros(a.shape) for a in probe.xs]
    for sample, variant, gradients in explained.gradients(len(baselines) * len(points), on_the_way):
        which, step = divmod(variant, len(points))
        share = weights[step] / len(baselines)
        for total, a, b, g in zip(totals, probe.xs, baselines[which], gradients, strict=True):
            total[sample] += share * (a[sample] - b[sample].astype(np.float64)) * g
    contributions = shown(probe, totals, channels)
    return (contributions, _completeness_error(explained, totals, baselines)) if return_error else contributions


def _completeness_error(
    explained: Explained, totals: list[np.ndarray], baselines: list[list[np.ndarray]]
) -> np.ndarray:
    """float64 (N,): the sum of the contributions less the difference of the scores."""
    probe = explained.probe
    sums = np.sum([t.reshape(probe.count, -1).sum(1) for t in totals], axis=0)
    starts = [explained.targets(probe.scores([np.ascontiguousarray(b) for b in one])) for one in baselines]
    return sums - (explained.targets(explained.scores) - np.mean(starts, axis=0))


def _checked_baseline(probe: Probe, baseline: Any) -> list[np.ndarray]:
    """float32, one for each input and in its shape, without taking memory for it."""
    parts = baseline if isinstance(baseline, tuple) else (baseline,) * len(probe.xs)
    if len(parts) != len(probe.xs):
        raise ValueError(f"{probe.op}: {len(probe.xs)} inputs need as many baselines, got {len(parts)}")
    arrays = []
    for part, a in zip(parts, probe.xs, strict=True):
        array = np.asarray(part)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"{probe.op}: baseline must hold real numbers, got dtype {array.dtype}")
        if not np.isfinite(array).all():
            raise ValueError(f"{probe.op}: baseline has values that are not finite")
        try:
            arrays.append(np.broadcast_to(array.astype(np.float32), a.shape))
        except ValueError:
            raise ValueError(f"{probe.op}: baseline {array.shape} does not fit x, which is {a.shape}") from None
    return arrays


def _quadrature(op: str, method: str, n_steps: Any) -> tuple[np.ndarray, np.ndarray]:
    """Points in [0, 1] and their weights, which sum to 1."""
    if method not in _METHODS:
        raise ValueError(f"{op}: method must be one of {', '.join(_METHODS)}, got {method!r}")
    n = whole_number(op, "n_steps", n_steps, 2 if method == "riemann_trapezoid" else 1)
    return _METHODS[method](n)


def _riemann(first: float) -> Callable[[int], tuple[np.ndarray, np.ndarray]]:
    """n equal intervals, each taken at the same place from 0, its begin, to 1, its end."""
    return lambda n: ((np.arange(n) + first) / n, np.full(n, 1 / n))


def _trapezoid(n: int) -> tuple[np.ndarray, np.ndarray]:
    weights = np.full(n, 1 / (n - 1))
    weights[[0, -1]] /= 2
    return np.linspace(0, 1, n), weights


def _gauss_legendre(n: int) -> tuple[np.ndarray, np.ndarray]:
    """The roots of Legendre's polynomial P_n, by Newton's method from where they nearly are.

    NumPy's `leggauss` takes the eigenvalues of an (n, n) matrix instead, whose memory grows with the square of n.

    Source: Press et al., "Numerical recipes" (2007), section 4.6.1.
    """
    z = np.cos(np.pi * (np.arange(n) + 0.75) / (n + 0.5))
    for _ in range(6):  # each doubles the digits, of which the first guess has two or more
        before, p = np.zeros(n), np.ones(n)
        for k in range(n):
            before, p = p, ((2 * k + 1) * z * p - k * before) / (k + 1)
        slope = n * (z * p - before) / (z * z - 1)
        z = z - p / slope
    weights = 1 / ((1 - z * z) * slope * slope)
    return (1 - z) / 2, weights


_METHODS: dict[str, Callable[[int], tuple[np.ndarray, np.ndarray]]] = {
    "gausslegendre": _gauss_legendre,
    "riemann_left": _riemann(0.0),
    "riemann_right": _riemann(1.0),
    "riemann_middle": _riemann(0.5),
    "riemann_trapezoid": _trapezoid,
}
