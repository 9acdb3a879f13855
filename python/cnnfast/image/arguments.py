"""What the arguments of transforms must be."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnfast.image.work import FILL_MODES, Fill


def number(op: str, what: str, value: Any, low: float = -np.inf, high: float = np.inf) -> float:
    """`value` as a finite float from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{op}: {what} must be a number, came {value!r}")
    if not (low <= value <= high and np.isfinite(value)):
        limits = f"at least {low:g}" if high == np.inf else f"in {low:g} to {high:g}"
        raise ValueError(f"{op}: {what} must be finite and {limits}, came {value!r}")
    return float(value)


def probability(op: str, what: str, value: Any) -> float:
    """`value` as a float in 0 to 1."""
    return number(op, what, value, 0.0, 1.0)


def pair(op: str, what: str, value: Any, low: float = -np.inf, high: float = np.inf) -> tuple[float, float]:
    """Two numbers from `low` to `high`, the first not above the second."""
    if not isinstance(value, (list, tuple, np.ndarray)) or len(value) != 2:
        raise TypeError(f"{op}: {what} must be a pair of numbers, came {value!r}")
    first, second = (number(op, what, v, low, high) for v in value)
    if first > second:
        raise ValueError(f"{op}: {what} must be (low, high), came {value!r}")
    return first, second


def around(
    op: str, what: str, value: Any, centre: float, low: float = -np.inf, high: float = np.inf
) -> tuple[float, float]:
    """A range: a pair as it is, one number v >= 0 as centre - v (but not below `low`) to centre + v."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return pair(op, what, value, low, high)
    spread = number(op, what, value, 0.0)
    return pair(op, what, (max(centre - spread, low), centre + spread), low, high)


def image_size(op: str, what: str, value: Any) -> tuple[int, int]:
    """Rows and columns, from a pair or, for a square, one number."""
    found = list(value) if isinstance(value, (list, tuple, np.ndarray)) else [value, value]
    try:
        whole = [operator.index(v) for v in found if not isinstance(v, bool)]
    except TypeError:
        whole = []
    if len(found) != 2 or len(whole) != 2:
        raise TypeError(f"{op}: {what} must be whole numbers (rows, columns), came {value!r}")
    if min(whole) < 1:
        raise ValueError(f"{op}: {what} must be at least 1, came {value!r}")
    return whole[0], whole[1]


def paddings(op: str, value: int | Sequence[int]) -> tuple[int, int, int, int]:
    """Pixels above, below, left, right, from one number, (vertical, horizontal), or all four."""
    found: list[Any] = list(value) if isinstance(value, (list, tuple, np.ndarray)) else [value]
    try:
        whole = [operator.index(v) for v in found if not isinstance(v, bool)]
    except TypeError:
        whole = []
    if len(whole) != len(found) or len(found) not in (1, 2, 4):
        raise TypeError(f"{op}: padding must be a whole number, 2 or 4 of them, came {value!r}")
    if min(whole) < 0:
        raise ValueError(f"{op}: padding must be at least 0, came {value!r}")
    if len(whole) < 4:
        whole = [whole[0], whole[0], whole[-1], whole[-1]]
    return whole[0], whole[1], whole[2], whole[3]


def spline_order(op: str, order: Any) -> int:
    """A spline order, 0 to 5."""
    if isinstance(order, bool) or order not in range(6):
        raise ValueError(f"{op}: order must be a spline order from 0 to 5, came {order!r}")
    return int(order)


def filling(op: str, order: Any, fill_mode: Any, cval: Any, mask_cval: Any) -> Fill:
    """How a warp reads; see `Fill`."""
    if fill_mode not in FILL_MODES:
        raise ValueError(f"{op}: fill_mode must be one of {', '.join(FILL_MODES)}, came {fill_mode!r}")
    grey = number(op, "cval", cval, 0.0, 255.0)
    return Fill(spline_order(op, order), fill_mode, grey, number(op, "mask_cval", mask_cval))
