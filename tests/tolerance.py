"""How far float32 arithmetic may be from the float64 oracle."""

from __future__ import annotations

import numpy as np

UNIT_ROUNDOFF = 2.0**-24


def assert_sum_close(actual, exact, terms: int, magnitude) -> None:
    """A sum of `terms` products, each at most `magnitude` large (an array or a number).

    In float32, |error| <= gamma_n * sum |a||b| with gamma_n = n u / (1 - n u), in whatever order the terms are added
    (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1); `magnitude` bounds one term, so that
    terms * magnitude bounds the sum of absolute values.
    """
    n = terms + 1
    bound = n * UNIT_ROUNDOFF / (1 - n * UNIT_ROUNDOFF) * (terms * np.max(magnitude) + np.abs(exact))
    error = np.abs(np.asarray(actual, dtype=np.float64) - exact)
    # Errors of both signs cancel: a real bug shows far above the square-root law, which we hold to, with a margin.
    likely = 8 * np.sqrt(n) * UNIT_ROUNDOFF * (np.sqrt(terms) * np.max(magnitude) + np.abs(exact))
    assert actual.shape == exact.shape, (actual.shape, exact.shape)
    worst = np.max(error - np.minimum(bound, likely))
    assert worst <= 0, f"error {np.max(error):.3g} exceeds the bound by {worst:.3g}"
