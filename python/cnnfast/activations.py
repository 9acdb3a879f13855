"""Activation functions by name. The names and defaults are Keras'; the functions are those of `cnnfast.ops`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnfast import ops

Activation = Callable[[Any], Any]

_ACTIVATIONS: dict[str, Activation] = {}


def linear(x: Any) -> Any:
    """x itself."""
    return x


def register(function: Activation, *names: str) -> Activation:
    """Makes an activation of one's own, a function made of ops, known by its name and `names`; usable as a decorator.

    Example:
        >>> @register
        ... def doubled(x):
        ...     return ops.add(x, x)
        >>> get("doubled") is doubled
        True
    """
    for name in (function.__name__, *names):
        _ACTIVATIONS[name] = function
    return function


for _function in (
    linear, ops.elu, ops.gelu, ops.leaky_relu, ops.relu, ops.relu6, ops.sigmoid, ops.softmax, ops.softplus, ops.tanh,
):  # fmt: skip
    register(_function)
register(ops.silu, "swish")


def get(activation: Any) -> Activation:
    """The function that is meant.

    Args:
        activation: a name, any callable made of ops, or None for `linear`.

    Raises:
        ValueError: an unknown name.
        TypeError: neither a name nor callable.

    Example:
        >>> get("relu") is ops.relu
        True
    """
    if activation is None:
        return linear
    if isinstance(activation, str):
        if activation not in _ACTIVATIONS:
            raise ValueError(f"unknown activation {activation!r}; known: {', '.join(sorted(_ACTIVATIONS))}")
        return _ACTIVATIONS[activation]
    if callable(activation):
        return activation
    raise TypeError(f"activation: expected a name or a function, got {activation!r}")


def serialize(activation: Activation) -> str:
    """The name of a registered activation. ValueError for any other: a file cannot hold a function."""
    for name, function in _ACTIVATIONS.items():
        if function is activation:
            return name
    raise ValueError(f"activation {activation!r} cannot be saved: it has no name; see activations.register")
