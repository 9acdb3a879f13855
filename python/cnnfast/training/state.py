"""States of training as files can hold them: strict JSON, and arrays beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

_ARRAY, _FLOAT = "$array", "$float"


def pack(state: Any, arrays: dict[str, np.ndarray]) -> Any:
    """A state as JSON can hold it.

    Args:
        state: None, numbers, strings and arrays, in lists and dicts with names.
        arrays: takes up the arrays, each under a name of its own.

    Raises:
        TypeError: something else is in it.

    Example:
        >>> arrays = {}
        >>> pack({"best": float("nan"), "weights": [np.ones(2)]}, arrays)
        {'best': {'$float': 'nan'}, 'weights': [{'$array': 'state/0'}]}
    """
    if isinstance(state, np.ndarray):
        name = f"state/{len(arrays)}"
        arrays[name] = state
        return {_ARRAY: name}
    if isinstance(state, np.generic):
        state = state.item()
    if isinstance(state, float) and not math.isfinite(state):
        return {_FLOAT: str(state)}
    if state is None or isinstance(state, (bool, int, float, str)):
        return state
    if isinstance(state, Mapping):
        return {str(key): pack(value, arrays) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        return [pack(value, arrays) for value in state]
    raise TypeError(f"training state: expected numbers, strings and arrays, got {type(state).__name__}")


def unpack(state: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """What `pack` was given. ValueError if an array is missing."""
    if isinstance(state, list):
        return [unpack(value, arrays) for value in state]
    if not isinstance(state, Mapping):
        return state
    if set(state) == {_FLOAT}:
        return float(state[_FLOAT])
    if set(state) == {_ARRAY}:
        if state[_ARRAY] not in arrays:
            raise ValueError(f"training state: the array {state[_ARRAY]!r} is missing")
        return arrays[state[_ARRAY]]
    return {key: unpack(value, arrays) for key, value in state.items()}
