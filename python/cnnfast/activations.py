"""Activation functions by name, with Keras' names and defaults; most are ops of `cnnfast.ops` themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnfast import ops
from cnnfast.ops import elu, gelu, leaky_relu, relu, relu6, sigmoid, silu, softmax, softplus, tanh

Activation = Callable[[Any], Any]

_ACTIVATIONS: dict[str, Activation] = {}


def linear(x: Any) -> Any:
    """x itself."""
    return x


def selu(x: Any) -> Any:
    """1.0507 * elu(x, 1.6733), which keeps mean 0 and variance 1 (Klambauer et al., 2017, equation 14)."""
    return ops.scale(elu(x, 1.6732632423543772), 1.0507009873554805)


def hard_sigmoid(x: Any) -> Any:
    """min(max(x + 3, 0), 6) / 6: a sigmoid of straight lines (Howard et al., 2019, section 5.2)."""
    return ops.scale(relu6(ops.scale(x, 1.0, 3.0)), 1 / 6)


def hard_silu(x: Any) -> Any:
    """x * hard_sigmoid(x) (Howard et al., "Searching for MobileNetV3", 2019, section 5.2)."""
    return ops.multiply(x, hard_sigmoid(x))


def mish(x: Any) -> Any:
    """x * tanh(softplus(x)) (Misra, "Mish: a self regularized non-monotonic activation function", 2019)."""
    return ops.multiply(x, tanh(softplus(x)))


def log_sigmoid(x: Any) -> Any:
    """log(sigmoid(x)), safe for large negative x."""
    return ops.scale(softplus(ops.scale(x, -1.0)), -1.0)


swish, hard_swish = silu, hard_silu


def register(function: Activation, *names: str) -> Activation:
    """Makes an activation of one's own known by its name and `names`; usable as a decorator.

    Args:
        function: from a tensor to a tensor, made of ops.
        names: further names.

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
    elu, gelu, hard_sigmoid, leaky_relu, linear, log_sigmoid, mish,
    relu, relu6, selu, sigmoid, softmax, softplus, tanh,
):  # fmt: skip
    register(_function)
register(silu, "swish")
register(hard_silu, "hard_swish")


def names() -> list[str]:
    """All names that `get` knows."""
    return list(_ACTIVATIONS)


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
            raise ValueError(f"unknown activation {activation!r}; known: {', '.join(sorted(names()))}")
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
