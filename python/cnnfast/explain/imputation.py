"""ROAD: remove pixels so that their neighbours do not tell which ones were removed, and see what the model says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from cnnfast.explain.measuring import Meter, ascending, flat_maps, stream_of
from cnnfast.explain.probe import BATCH_SIZE
from cnnfast.explain.targets import TargetLike
from cnnfast.models.model import Model

_ORDERS = ("combined", "most", "least")
_TOLERANCE = 1e-7  # of the residual, relative to the right side
_DAMPING = 0.8  # of the smoothing steps of a multigrid cycle
_COARSEST_STEPS = 8  # of them on the coarsest grid


class Road(NamedTuple):
    """What the removal of pixels does to a model's answer.

    Attributes:
        change: float64 (N, number of percentiles).
        mean: float64 (N,), of `change` over the percentiles.
    """

    change: np.ndarray
    mean: np.ndarray


def road(
    model: Model,
    x: Any,
    maps: Any,
    target: TargetLike = None,
    *,
    percentiles: Sequence[float] = (10, 20, 30, 40, 50, 60, 70, 80, 90),
    order: str = "combined",
    noise: float = 0.01,
    of: str = "probability",
    seed: int = 0,
    output: int | str = 0,
    batch_size: int = BATCH_SIZE,
) -> Road:
    """Remove and debias: how much the answer changes when pixels are replaced by what their neighbours say.

    Args:
        model: any model with images as its only input.
        x: images (N, H, W, C) as the model takes them.
        maps: their explanations, (N, H, W) or (N, H, W, C); of the latter the absolute values are summed.
        target: as for `gradcam`, but no function. The predicted class is that of the whole images.
        percentiles: the percentage of the pixels that is kept, between 0 and 100.
        order: "most" removes the most relevant pixels first, and a good explanation lets the answer fall; "least"
            removes the least relevant ones, and the answer should stay. "combined" is half of the difference, change
            by "least" - change by "most": large for a good explanation.
        noise: standard deviation of what is added to the replaced pixels, as a share of the range of each image's
            values.
        of: "probability" or "score" (before a final softmax or sigmoid).
        seed: decides the noise, and the order of pixels of equal relevance.
        output: which output of a model with several.
        batch_size: images run at once.

    Returns:
        `Road`: the changes (N, number of percentiles) and their means (N,).

    Raises:
        ValueError: maps that do not fit the images, a target that does not fit the model, wrong settings.

    Source: Rong et al., "A consistent and efficient evaluation strategy for attribution methods" (2022), section 4.2
    and algorithm 1.

    Example:
        >>> maps = cnnfast.explain.gradcam(convnet, images, target=1)
        >>> road(convnet, images, maps, target=1, percentiles=[50, 90]).change.shape
        (4, 2)
    """
    meter = Meter(model, x, target, op="road", of=of, output=output, batch_size=batch_size)
    relevance = flat_maps("road", maps, meter.images.shape)
    if order not in _ORDERS:
        raise ValueError(f"road: order must be one of {', '.join(_ORDERS)}, got {order!r}")
    if np.ndim(percentiles) != 1 or not len(percentiles) or not all(0 < p < 100 for p in percentiles):
        raise ValueError(f"road: percentiles must be a list of numbers between 0 and 100, got {percentiles!r}")
    if not 0 <= noise < np.inf:
        raise ValueError(f"road: noise must be a number from 0, got {noise!r}")
    # As many as lie below the percentile if no two are the same.
    kept = [int(np.ceil(p / 100 * (relevance[0].size - 1))) for p in percentiles]
    directions = [d for d in ("least", "most") if order in (d, "combined")]

    def versions(sample: int) -> Iterator[np.ndarray]:
        image, rng = meter.images[sample], stream_of("road", seed, sample)
        ranks = ascending(relevance[sample], rng)
        strength = noise * (float(image.max()) - float(image.min()))
        yield image
        for direction in directions:
            for count in kept:
                keep = np.zeros(image.shape[:2], bool)
                keep.flat[ranks[:count] if direction == "most" else ranks[ranks.size - count :]] = True
                filled = imputed(image, keep)
                filled[~keep] += strength * rng.standard_normal((keep.size - count, image.shape[2]))
                yield filled

    values = meter.all_of(1 + len(directions) * len(kept), versions)
    changes = (values[:, 1:] - values[:, :1]).reshape(len(values), len(directions), len(kept))
    change = (changes[:, 0] - changes[:, 1]) / 2 if order == "combined" else changes[:, 0]
    return Road(change, change.mean(1))


def imputed(image: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """An image (H, W, C) in which each missing pixel is the weighted mean of its neighbours, missing ones included.

    Neighbours count 1/6, those across a corner 1/12, those outside the image nothing.

    Args:
        image: float.
        keep: bool (H, W), False where a pixel is missing; at least one is kept.

    Returns:
        float64 (H, W, C).
    """
    known = np.ascontiguousarray(image.transpose(2, 0, 1), np.float64) * keep
    if keep.all():
        return image.astype(np.float64)
    return _solved(known, keep).transpose(1, 2, 0)


class _Level(NamedTuple):
    """The equations on one grid, times 12: total * u - sums(u) = right side where pixels are missing.

    Attributes:
        missing: (H, W), 1 or 0.
        total: (1, H, W), what `_sums` gives of ones.
        smooth: (1, H, W), by which a residual is multiplied in a damped Jacobi step.
    """

    missing: np.ndarray
    total: np.ndarray
    smooth: np.ndarray

    def applied(self, u: np.ndarray) -> np.ndarray:
        """The left side."""
        left = self.total * u
        left -= _sums(u)
        left *= self.missing
        return left


def _solved(known: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """The missing pixels of known (C, H, W), which is 0 there.

    The matrix is symmetric and positive definite: conjugate gradients, which a multigrid cycle makes independent of
    the size of the holes (Tatebe, "The multigrid preconditioned conjugate gradient method", 1993).
    """
    levels = _levels(~keep)
    residual = levels[0].missing * _sums(known)
    enough = _TOLERANCE**2 * _dot(residual, residual)
    u, direction, size = known.copy(), np.zeros_like(known), np.ones((len(known), 1, 1))
    for _ in range(keep.size):
        if (_dot(residual, residual) <= enough).all():
            break
        better = _cycle(levels, residual)
        before, size = size, _dot(residual, better)
        direction *= _ratio(size, before)
        direction += better
        change = levels[0].applied(direction)
        step = _ratio(size, _dot(direction, change))
        u += step * direction
        residual -= step * change
    return u


def _levels(missing: np.ndarray) -> list[_Level]:
    """The image's grid, one of half its size, where those pixels are missing that stand for missing ones only, and so
    on."""
    levels = []
    while missing.any():
        total = _sums(np.ones((1, *missing.shape)))
        as_number = missing.astype(np.float64)
        levels.append(_Level(as_number, total, _DAMPING * as_number / (total - 4)))
        if min(missing.shape) < 4:
            break
        missing = np.asarray(_blocks(missing, True).all((-3, -1)))
    return levels


def _cycle(levels: list[_Level], residual: np.ndarray) -> np.ndarray:
    """About the solution for a right side: smoothed, corrected on the coarser grid, and smoothed again."""
    here, *coarser = levels
    u = here.smooth * residual
    if coarser:
        rest = residual - here.applied(u)
        coarse = _cycle(coarser, coarser[0].missing * _blocks(rest, 0).sum((-3, -1)))
        rows, columns = here.missing.shape
        u += here.missing * coarse.repeat(2, 1).repeat(2, 2)[:, :rows, :columns]
    for _ in range(1 if coarser else _COARSEST_STEPS):
        u += here.smooth * (residual - here.applied(u))
    return u


def _blocks(a: np.ndarray, fill: Any) -> np.ndarray:
    """(..., H, W) as blocks of 2x2, (..., P, 2, Q, 2); what the last ones lack is filled."""
    rows, columns = a.shape[-2:]
    if rows % 2 or columns % 2:
        a = np.pad(a, [(0, 0)] * (a.ndim - 2) + [(0, rows % 2), (0, columns % 2)], constant_values=fill)
    return a.reshape(*a.shape[:-2], -(-rows // 2), 2, -(-columns // 2), 2)


def _sums(u: np.ndarray) -> np.ndarray:
    """12 times the weighted sum of each pixel's neighbours, and 4 times the pixel: (1 2 1) over rows and columns."""
    wide = u + u
    wide[:, 1:] += u[:, :-1]
    wide[:, :-1] += u[:, 1:]
    both = wide + wide
    both[:, :, 1:] += wide[:, :, :-1]
    both[:, :, :-1] += wide[:, :, 1:]
    return both


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of each channel, (C, 1, 1)."""
    return np.einsum("chw,chw->c", a, b)[:, None, None]


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """0 where a channel is solved already."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
