"""Central differences in float64: what an analytic gradient must agree with."""

from __future__ import annotations

import numpy as np


def numeric_gradient(f, x, step: float = 1e-5) -> np.ndarray:
    """The gradient at `x` of a function from float64 arrays to a number; error about step^2 f''' / 6."""
    x = np.array(x, dtype=np.float64)
    gradient = np.empty_like(x)
    for i in np.ndindex(x.shape):
        value = x[i]
        x[i] = value + step
        above = f(x)
        x[i] = value - step
        gradient[i] = (above - f(x)) / (2 * step)
        x[i] = value
    return gradient
