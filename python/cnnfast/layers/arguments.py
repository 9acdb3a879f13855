"""Constructor arguments of layers: checked when they come in, written down when a layer is saved."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnfast import activations, initializers, regularizers
from cnnfast.ops.window import IntPair, int_pair, normal_padding

if TYPE_CHECKING:
    from cnnfast.layers.base import Layer


def arguments_of(layer: Layer) -> dict[str, Any]:
    """The constructor's arguments that a layer keeps as attributes of the same names, as JSON holds them."""
    return {
        name: _plain(layer, name, getattr(layer, name))
        for name, parameter in inspect.signature(type(layer)).parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD and hasattr(layer, name)
    }


def _plain(layer: Layer, name: str, value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(layer, name, v) for v in value]
    if isinstance(value, dict):
        return {str(k): _plain(layer, name, v) for k, v in value.items()}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, initializers.Initializer):
        return initializers.serialize(value)
    if isinstance(value, regularizers.Regularizer):
        return regularizers.serialize(value)
    if callable(value):
        return activations.serialize(value)
    raise ValueError(f"{layer.name}: the argument {name}={value!r} cannot be saved; override get_config")


def refuse(layer: Layer, **arguments: Any) -> None:
    """ValueError for an argument that Keras has and this package does not: anything but None."""
    for name, value in arguments.items():
        if value is not None:
            raise ValueError(f"{type(layer).__name__}: {name} is not supported, got {name}={value!r}")


def channels_last(layer: Layer, data_format: Any) -> None:
    """ValueError unless the layout is (N, H, W, C), the only one there is."""
    if data_format not in (None, "channels_last"):
        raise ValueError(
            f"{type(layer).__name__}: data_format must be 'channels_last', got {data_format!r}; "
            "move the channels of the data to the last axis"
        )


def integer(layer: Layer, name: str, value: Any, minimum: int = 1) -> int:
    """An integer of at least `minimum`."""
    if isinstance(value, (bool, np.bool_)) or not hasattr(value, "__index__"):
        raise TypeError(f"{type(layer).__name__}: {name} must be an integer, got {value!r}")
    if int(value) < minimum:
        raise ValueError(f"{type(layer).__name__}: {name} must be at least {minimum}, got {value!r}")
    return int(value)


def number(layer: Layer, name: str, value: Any, low: float = -np.inf, high: float = np.inf) -> float:
    """A finite number in [low, high]."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.number)):
        raise TypeError(f"{type(layer).__name__}: {name} must be a number, got {value!r}")
    if not (np.isfinite(value) and low <= value <= high):
        limits = "finite" if low == -np.inf and high == np.inf else f"a finite number from {low:g} to {high:g}"
        raise ValueError(f"{type(layer).__name__}: {name} must be {limits}, got {value!r}")
    return float(value)


def number_or_list(layer: Layer, name: str, value: Any) -> float | list[float]:
    """A finite number, or several in a list."""
    if isinstance(value, (list, tuple, np.ndarray)) and np.ndim(value) == 1:
        return [number(layer, name, v) for v in value]
    return number(layer, name, value)


def pair(layer: Layer, name: str, value: IntPair, minimum: int = 1) -> tuple[int, int]:
    """(rows, columns) from one integer or two."""
    rows, columns = int_pair(type(layer).__name__, name, value, minimum)
    return rows, columns


def sides(layer: Layer, name: str, value: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    """((top, bottom), (left, right)) from one number for all sides, (rows, columns), or both."""
    operation = f"{type(layer).__name__}, {name}"
    if isinstance(value, str):
        raise TypeError(f"{operation}: expected integers, got {value!r}")
    numbers = normal_padding(operation, value)
    assert isinstance(numbers, list)
    return (numbers[0], numbers[1]), (numbers[2], numbers[3])


def images(layer: Layer, input_shape: Any) -> tuple[int | None, ...]:
    """`input_shape`, which must be (N, H, W, C)."""
    if len(input_shape) != 4:
        raise ValueError(f"{layer.name}: {type(layer).__name__} expects (N,H,W,C), got shape {tuple(input_shape)}")
    return tuple(input_shape)


def last_dimension(layer: Layer, input_shape: Any) -> int:
    """Channels or features: the last dimension, which must be known before there can be weights."""
    if len(input_shape) < 2 or input_shape[-1] is None:
        raise ValueError(
            f"{layer.name}: {type(layer).__name__} needs the last dimension of its input to create its "
            f"weights, got shape {tuple(input_shape)}"
        )
    return int(input_shape[-1])
