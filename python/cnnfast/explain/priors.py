"""What keeps the images that gradient ascent finds away from noise: penalties, and views from changing places.

Images are z (N, H, W, C) in 0 to 255 here, whatever the model's range is.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from cnnfast.image.streams import uniforms


class Penalty(ABC):
    """What is subtracted from the score of an image."""

    @abstractmethod
    def value(self, z: np.ndarray) -> np.ndarray:
        """The penalty of each image, (N,)."""

    @abstractmethod
    def gradient(self, z: np.ndarray) -> np.ndarray:
        """Its gradient by the images, of their type; 0 where it has a kink."""


class TotalVariation(Penalty):
    """weight * sum of |differences| of neighbouring pixels, below and beside each other, / (H W C).

    Args:
        weight: 0 or more.

    Raises:
        ValueError: a weight below 0 or not finite.

    Source: Mahendran and Vedaldi, "Understanding deep image representations by inverting them" (2015), section 2.2,
    with absolute differences, as tf-keras-vis' `TotalVariation2D` has them (default there: 1.0).

    Example:
        >>> from cnnfast.explain.priors import TotalVariation
        >>> TotalVariation(2.0).value(np.array([[0.0, 3.0], [0.0, 0.0]]).reshape(1, 2, 2, 1))
        array([3.])
    """

    def __init__(self, weight: float = 1.0):
        self.weight = _weight("TotalVariation", weight)

    def value(self, z: np.ndarray) -> np.ndarray:
        total = sum(np.abs(np.diff(z, axis=axis)).sum((1, 2, 3)) for axis in (1, 2))
        return self.weight * total / math.prod(z.shape[1:])

    def gradient(self, z: np.ndarray) -> np.ndarray:
        slopes = np.zeros_like(z)
        for axis in (1, 2):
            signs = np.sign(np.diff(z, axis=axis))
            along = np.moveaxis(slopes, axis, 0)  # a view
            along[1:] += np.moveaxis(signs, axis, 0)
            along[:-1] -= np.moveaxis(signs, axis, 0)
        return slopes * z.dtype.type(self.weight / math.prod(z.shape[1:]))


class Norm(Penalty):
    """weight * s * mean((|z - center| / s)^p), s = 127.5: how far pixels are from grey.

    Args:
        weight: 0 or more.
        p: 1 or more. 1 is the mean distance; 2 punishes far ones more; 6 hardly any but those near black and white.
        center: from 0 to 255. 0 measures brightness, as tf-keras-vis' `Norm` does (default there: weight 0.3, p 1).

    Raises:
        ValueError: a weight below 0, p below 1, or a number that is not finite.

    Source: Mahendran and Vedaldi, "Understanding deep image representations by inverting them" (2015), section 2.2.

    Example:
        >>> from cnnfast.explain.priors import Norm
        >>> Norm(1.0, p=2).value(np.array([255.0, 127.5]).reshape(1, 1, 2, 1))
        array([63.75])
    """

    _SCALE = 127.5

    def __init__(self, weight: float = 0.3, p: float = 1, center: float = 127.5):
        self.weight = _weight("Norm", weight)
        if not (np.isfinite(p) and p >= 1):
            raise ValueError(f"Norm: p must be at least 1, got {p!r}")
        if not np.isfinite(center):
            raise ValueError(f"Norm: center must be a finite number, got {center!r}")
        self.p, self.center = float(p), float(center)

    def value(self, z: np.ndarray) -> np.ndarray:
        return self.weight * self._SCALE * (np.abs((z - self.center) / self._SCALE) ** self.p).mean((1, 2, 3))

    def gradient(self, z: np.ndarray) -> np.ndarray:
        distance = (z - self.center) / self._SCALE
        steps = np.sign(distance) * np.abs(distance) ** (self.p - 1)
        return steps * z.dtype.type(self.weight * self.p / math.prod(z.shape[1:]))


def _weight(what: str, weight: float) -> float:
    if not (np.isfinite(weight) and weight >= 0):
        raise ValueError(f"{what}: weight must be a finite number from 0, got {weight!r}")
    return float(weight)


class Views:
    """Images moved, turned and scaled at random, each on its own; bilinear, and continued periodically.

    `pull_back` is the exact transpose of `apply`: a gradient by what the network saw becomes one by the images.

    Args:
        shape: (N, H, W, C) of the images.
        jitter: moved by up to so many whole pixels either way.
        rotate: turned about the middle by up to so many degrees either way.
        scale: enlarged by a factor of up to 1 + scale, or reduced by as much.
        seed, step: what the draws depend on, with the number of the image.
    """

    def __init__(
        self, shape: tuple[int, int, int, int], jitter: int, rotate: float, scale: float, *, seed: int, step: int
    ):
        n, h, w, _ = shape
        drawn = uniforms(seed, step, range(n), 4)
        moves = np.floor(drawn[:, :2] * (2 * jitter + 1)) - jitter
        angles = np.deg2rad(rotate) * (2 * drawn[:, 2] - 1)
        factors = (1 + scale) ** (2 * drawn[:, 3] - 1)
        sines, cosines = (f(angles)[:, None, None] / factors[:, None, None] for f in (np.sin, np.cos))
        y, x = np.arange(h)[:, None] - (h - 1) / 2, np.arange(w)[None, :] - (w - 1) / 2
        rows = cosines * y - sines * x + ((h - 1) / 2 + moves[:, 0, None, None])
        columns = sines * y + cosines * x + ((w - 1) / 2 + moves[:, 1, None, None])
        self._corners = list(_corners(rows, columns, h, w))

    def apply(self, z: np.ndarray) -> np.ndarray:
        """What the network sees, (N, H, W, C) float32."""
        flat = z.reshape(-1, z.shape[-1])
        seen = np.zeros_like(flat)
        for places, weights in self._corners:
            seen += weights * flat[places]
        return seen.reshape(z.shape)

    def pull_back(self, gradient: np.ndarray) -> np.ndarray:
        """From the gradient by what the network saw to that by the images."""
        flat = gradient.reshape(-1, gradient.shape[-1])
        sums = np.empty((len(flat), flat.shape[1]), np.float32)
        where = np.concatenate([places for places, _ in self._corners])
        for channel in range(flat.shape[1]):
            parts = np.concatenate([weights[:, 0] * flat[:, channel] for _, weights in self._corners])
            sums[:, channel] = np.bincount(where, parts, len(flat))
        return sums.reshape(gradient.shape)


def _corners(rows: np.ndarray, columns: np.ndarray, h: int, w: int) -> Sequence[tuple[np.ndarray, np.ndarray]]:
    """For each of the four pixels around positions (N, P, Q): number among all (N P Q,), and weight (N P Q, 1)."""
    first = np.arange(len(rows))[:, None, None] * (h * w)
    top, left = np.floor(rows), np.floor(columns)
    down, right = rows - top, columns - left
    found = []
    for i, by_row in enumerate((1 - down, down)):
        for j, by_column in enumerate((1 - right, right)):
            places = first + (top + i).astype(int) % h * w + (left + j).astype(int) % w
            found.append((places.reshape(-1), (by_row * by_column).astype(np.float32).reshape(-1, 1)))
    return found
