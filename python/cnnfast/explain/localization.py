"""Does an explanation lie where the object is? Measures against boxes and masks that people drew."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnfast.explain.measuring import flat_maps


def pointing_game(maps: Any, *, box: Any = None, mask: Any = None, tolerance: float = 0) -> np.ndarray:
    """Whether the most relevant point of each map lies on the object. The mean over images is the game's score.

    Args:
        maps: explanations (N, H, W), or (N, H, W, C), of which the absolute values are summed over channels.
        box: (top, left, bottom, right) as shares of the height and width from 0 to 1, or (N, 4) of them.
        mask: (H, W) or (N, H, W), not 0 where the object is; instead of `box`.
        tolerance: how many pixels the point may lie beside the object; the paper has 15.

    Returns:
        bool (N,). Where several points share the largest value all of them must lie on the object, so that a map
        without any contrast hits nothing.

    Raises:
        ValueError: box and mask both or none, or of wrong shapes; no pixel lies on an object.

    Source: Zhang et al., "Top-down neural attention by excitation backprop" (2016), section 4.1.

    Example:
        >>> maps = np.zeros((2, 8, 8))
        >>> maps[:, 1, 6] = 1
        >>> pointing_game(maps, box=[(0, 0.5, 0.5, 1), (0.5, 0, 1, 1)]).tolist()
        [True, False]
    """
    values = flat_maps("pointing_game", maps)
    inside = _inside("pointing_game", values.shape, box, mask)
    if not tolerance >= 0:
        raise ValueError(f"pointing_game: tolerance must be a number of pixels from 0, got {tolerance!r}")
    hits = np.empty(len(values), bool)
    for i, (map_, object_) in enumerate(zip(values, inside, strict=True)):
        points = np.argwhere(map_ == map_.max())
        if tolerance and len(points) < map_.size:
            pixels = np.argwhere(object_)
            near = [((pixels - p) ** 2).sum(1).min() <= tolerance**2 for p in points]
            hits[i] = all(near)
        else:
            hits[i] = object_[tuple(points.T)].all()
    return hits


def energy_in_box(maps: Any, *, box: Any = None, mask: Any = None) -> np.ndarray:
    """The share of each map's mass that lies on the object, the "energy-based pointing game".

    Args:
        maps, box, mask: as for `pointing_game`. Negative values have no mass.

    Returns:
        float64 (N,), 0 to 1; 0 of a map without mass.

    Raises:
        ValueError: as `pointing_game`.

    Source: Wang et al., "Score-CAM: score-weighted visual explanations for convolutional neural networks" (2020),
    section 4.3.

    Example:
        >>> energy_in_box(np.ones((1, 8, 8)), box=(0, 0, 0.5, 1)).tolist()
        [0.5]
    """
    values = np.maximum(flat_maps("energy_in_box", maps), 0)
    inside = _inside("energy_in_box", values.shape, box, mask)
    mass = values.sum((1, 2))
    return np.divide((values * inside).sum((1, 2)), mass, out=np.zeros_like(mass), where=mass > 0)


def _inside(op: str, shape: tuple[int, ...], box: Any, mask: Any) -> np.ndarray:
    """bool (N, H, W): the pixels whose centres lie on the object."""
    if (box is None) == (mask is None):
        raise ValueError(f"{op}: give a box or a mask")
    n, h, w = shape
    if mask is not None:
        drawn = np.asarray(mask)
        if drawn.shape not in (shape, shape[1:]):
            raise ValueError(f"{op}: maps {shape} need a mask {shape[1:]} or {shape}, got {drawn.shape}")
        inside = np.broadcast_to(drawn != 0, shape)
    else:
        edges = np.asarray(box, np.float64)
        if edges.shape not in ((4,), (n, 4)) or not np.isfinite(edges).all():
            raise ValueError(f"{op}: box must be (top, left, bottom, right) or ({n},4) of them, got {box!r}")
        top, left, bottom, right = np.broadcast_to(edges, (n, 4)).T[:, :, None, None]
        y, x = (np.arange(h)[:, None] + 0.5) / h, (np.arange(w)[None, :] + 0.5) / w
        inside = (y >= top) & (y < bottom) & (x >= left) & (x < right)
    empty = np.flatnonzero(~inside.any((1, 2)))
    if len(empty):
        raise ValueError(f"{op}: no pixel of sample {empty[0]} lies on the object")
    return inside
