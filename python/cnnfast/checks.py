"""What arrays of numbers and of class labels must be where they enter."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def numbers(op: str, what: str, values: ArrayLike) -> np.ndarray:
    """`values` as an array of numbers or booleans with at least one element."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{op}: {what} must be numbers, came {array.dtype} {array.shape}")
    if array.size == 0:
        raise ValueError(f"{op}: {what} is empty, shape {array.shape}")
    return array


def classes(op: str, what: str, labels: ArrayLike, num_classes: int | None = None) -> np.ndarray:
    """Class labels as int64: whole numbers from 0, below `num_classes` if given."""
    array = numbers(op, what, labels)
    with np.errstate(invalid="ignore"):  # not-a-number and infinity are refused below
        whole = array.astype(np.int64)
    if array.dtype.kind == "f" and not np.array_equal(whole, array):
        wrong = array[whole != array][0]
        raise ValueError(f"{op}: {what} must be whole class numbers, has {wrong}")
    low, high = int(whole.min()), int(whole.max())
    if low < 0 or (num_classes is not None and high >= num_classes):
        limit = "0" if num_classes is None else f"0 to {num_classes - 1}"
        raise ValueError(f"{op}: {what} must be classes from {limit}, has values from {low} to {high}")
    return whole
