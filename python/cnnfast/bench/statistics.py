"""Medians, quartiles and ratios of measured rounds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Spread:
    """Median and quartiles."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles of at least one value, interpolated linearly."""
    low, median, high = np.percentile(np.asarray(values, dtype=np.float64), [25, 50, 75])
    return Spread(float(median), float(low), float(high))


def ratio(seconds: Sequence[float], base: Sequence[float]) -> Spread:
    """How many times longer than `base`, round by round: what slows the machine for a while slows both.

    Raises:
        ValueError: the two have not the same number of rounds.
    """
    return spread([s / b for s, b in zip(seconds, base, strict=True)])


def geometric_mean(values: Iterable[float]) -> float:
    """The geometric mean of at least one positive number."""
    return float(np.exp(np.mean(np.log(list(values)))))
