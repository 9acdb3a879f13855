"""Superpixels: connected segments of similar colour, the parts of an image that LIME and KernelSHAP show or hide."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnfast.explain.perturbation import Masks
from cnnfast.image.arguments import number
from cnnfast.training.sources import whole_number


def superpixels(x: Any, segments: int = 50, compactness: float = 1.0, iterations: int = 10) -> np.ndarray:
    """SLIC superpixels: pixels clustered by colour and place, starting from a grid.

    Colours, of any number of channels, are measured in standard deviations over the image, those of the channel that
    varies most: segments do not depend on the range that images are scaled to. A pixel can join the clusters of its own
    cell of the grid and of the 8 around it.
    Parts that got separated from their cluster and have less than a quarter of the mean size join a neighbour.

    Args:
        x: images (N, H, W, C).
        segments: about how many; what comes out is a grid of nearly square cells at first, and parts may vanish.
        compactness: how many standard deviations of colour count as much as the distance of two neighbouring clusters;
            large values give nearly square segments.
        iterations: how many times clusters and their means are found anew.

    Returns:
        int64 (N, H, W), numbered from 0 in each image.

    Raises:
        ValueError: no images (N, H, W, C), or numbers out of range.
        TypeError: no numbers.

    Source: Achanta et al., "SLIC superpixels compared to state-of-the-art superpixel methods" (2012), section 3; the
    fixed 3x3 neighbourhood is that of Ren and Reid, "gSLIC: a real-time implementation of SLIC superpixel segmentation"
    (2011).

    Example:
        >>> labels = superpixels(images, 9)
        >>> labels.shape
        (4, 16, 16)
    """
    images = np.asarray(x)
    if images.dtype.kind not in "fiub":
        raise TypeError(f"superpixels: x must hold real numbers, got dtype {images.dtype}")
    if images.ndim != 4 or images.size == 0:
        raise ValueError(f"superpixels: x must be images (N,H,W,C), got shape {images.shape}")
    if not np.isfinite(images).all():
        raise ValueError("superpixels: x has values that are not finite")
    wanted = whole_number("superpixels", "segments", segments)
    weight = number("superpixels", "compactness", compactness, 0.0)
    rounds = whole_number("superpixels", "iterations", iterations, 0)
    return np.stack([_slic(image.astype(np.float64), wanted, weight, rounds) for image in images])


def segments_of(op: str, x: np.ndarray, segments: Any) -> list[np.ndarray]:
    """Segments as LIME and KernelSHAP take them: for each image int64 (H, W), numbered from 0 without gaps.

    Args:
        op: for messages.
        x: images (N, H, W, C).
        segments: about how many superpixels, or None for about 50; or labels (N, H, W) or (H, W), of any whole numbers.

    Raises:
        ValueError, TypeError: no labels, or of another shape.
    """
    if segments is None or np.ndim(segments) == 0:
        count = 50 if segments is None else whole_number(op, "segments", segments)
        return list(superpixels(x, count))
    labels = np.asarray(segments)
    if labels.dtype.kind not in "iub":
        raise TypeError(f"{op}: segments must be whole numbers, got dtype {labels.dtype}")
    if labels.shape not in (x.shape[:3], x.shape[1:3]):
        raise ValueError(f"{op}: segments must be (N,H,W) or (H,W) for images {x.shape}, got shape {labels.shape}")
    return [_numbered(one) for one in np.broadcast_to(labels, x.shape[:3])]


def masks_of(shown: np.ndarray, labels: np.ndarray) -> Masks:
    """Masks (H, W) of copies that show the segments for which their row of `shown` (copies, segments) is 1."""
    return lambda chosen: shown[chosen][:, labels]


def _numbered(labels: np.ndarray) -> np.ndarray:
    return np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(np.int64)


def _slic(image: np.ndarray, segments: int, compactness: float, iterations: int) -> np.ndarray:
    height, width, _ = image.shape
    side = np.sqrt(height * width / segments)
    grid = max(round(height / side), 1), max(round(width / side), 1)
    cell_rows, cell_columns = (np.arange(n) * g // n for n, g in zip((height, width), grid, strict=True))
    labels = cell_rows[:, None] * grid[1] + cell_columns
    candidates = _candidates(cell_rows, cell_columns, grid)
    # Distances of colour and place in one (eq. 3): each pixel a point whose coordinates are both, (F, H, W).
    scale = image.std((0, 1)).max()
    # Without a threshold, rounding of a constant image would be stretched to edges.
    colours = image.transpose(2, 0, 1) / scale if scale > 1e-7 * np.abs(image).max() else np.zeros((0, height, width))
    features = np.concatenate([colours, np.indices((height, width)) * (compactness / side)])
    for _ in range(iterations):
        labels = _nearest(features, _means(features, labels, grid[0] * grid[1]), candidates)
    return _connected(labels, height * width / (grid[0] * grid[1]) / 4)


def _candidates(rows: np.ndarray, columns: np.ndarray, grid: tuple[int, int]) -> list[np.ndarray]:
    """The clusters (H, W) that pixels may join, in the order of preference among equals: that of its cell is first."""
    around = sorted(((r, c) for r in (-1, 0, 1) for c in (-1, 0, 1)), key=lambda p: abs(p[0]) + abs(p[1]))
    return [
        np.clip(rows + r, 0, grid[0] - 1)[:, None] * grid[1] + np.clip(columns + c, 0, grid[1] - 1) for r, c in around
    ]


def _means(features: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """(F, count): of each cluster; one without pixels is infinitely far away."""
    flat = labels.reshape(-1)
    sizes = np.bincount(flat, minlength=count)
    sums = np.stack([np.bincount(flat, f.reshape(-1), count) for f in features])
    return np.where(sizes, sums / np.maximum(sizes, 1), np.inf)


def _nearest(features: np.ndarray, means: np.ndarray, candidates: list[np.ndarray]) -> np.ndarray:
    """(H, W): the nearest of each pixel's candidates, the first among equals."""
    nearest, least = candidates[0], np.full(candidates[0].shape, np.inf)
    for labels in candidates:
        distance = sum((f - mean[labels]) ** 2 for f, mean in zip(features, means, strict=True))
        nearest, least = np.where(distance < least, labels, nearest), np.minimum(distance, least)
    return nearest


def _connected(labels: np.ndarray, smallest: float) -> np.ndarray:
    """Each connected part a segment of its own; those of less than `smallest` pixels that are not the largest of their
    cluster join what they touch."""
    parts = _numbered(_parts(labels))
    sizes = np.bincount(parts.reshape(-1))
    clusters = np.zeros(len(sizes), np.int64)
    clusters[parts] = labels
    largest = np.zeros(labels.max() + 1, np.int64)
    np.maximum.at(largest, clusters, sizes)
    keep = sizes >= np.minimum(largest[clusters], smallest)
    # Segments grow over what is left, one pixel in each direction at a time, and so stay connected.
    grown = np.where(keep[parts], parts, -1)
    while (grown < 0).any():
        for here, there in _neighbours(grown):
            here[:] = np.where(here < 0, there, here)
    return _numbered(grown)


def _parts(labels: np.ndarray) -> np.ndarray:
    """(H, W): for each pixel the smallest number among the pixels that it is connected with through equal labels."""
    smallest = np.arange(labels.size).reshape(labels.shape)
    while True:
        before = smallest.copy()
        for (here, there), (one, other) in zip(_neighbours(smallest), _neighbours(labels), strict=True):
            here[:] = np.where(one == other, np.minimum(here, there), here)
        # What a pixel's representative has found out holds for the pixel: paths halve.
        smallest = smallest.reshape(-1)[smallest]
        if (smallest == before).all():
            return smallest


def _neighbours(a: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Views of all pixels that have a neighbour, and of these neighbours, in the four directions."""
    return [(a[1:], a[:-1]), (a[:-1], a[1:]), (a[:, 1:], a[:, :-1]), (a[:, :-1], a[:, 1:])]
