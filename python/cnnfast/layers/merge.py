"""Layers that make one tensor of several."""

from __future__ import annotations

from functools import reduce
from typing import Any

from cnnfast import ops
from cnnfast.layers.arguments import integer
from cnnfast.layers.base import Layer


def _several(layer: Layer, inputs: Any) -> list[Any]:
    if not isinstance(inputs, (list, tuple)) or not inputs:
        raise ValueError(f"{layer.name}: {type(layer).__name__} expects a list of inputs, got {inputs!r}")
    return list(inputs)


class Add(Layer):
    """Sum of a list of tensors, element by element.

    Example:
        >>> Add()([np.ones((1, 2)), np.ones((1, 2))]).tolist()
        [[2.0, 2.0]]
    """

    def call(self, inputs: Any) -> Any:
        return reduce(ops.add, _several(self, inputs))


class Subtract(Layer):
    """First tensor minus the second.

    Example:
        >>> Subtract()([np.full((1, 2), 3.0), np.ones((1, 2))]).tolist()
        [[2.0, 2.0]]
    """

    def call(self, inputs: Any) -> Any:
        inputs = _several(self, inputs)
        if len(inputs) != 2:
            raise ValueError(f"{self.name}: Subtract expects 2 inputs, got {len(inputs)}")
        return ops.subtract(*inputs)


class Multiply(Layer):
    """Product of a list of tensors, element by element.

    Example:
        >>> Multiply()([np.full((1, 2), 2.0), np.full((1, 2), 3.0)]).tolist()
        [[6.0, 6.0]]
    """

    def call(self, inputs: Any) -> Any:
        return reduce(ops.multiply, _several(self, inputs))


class Average(Layer):
    """Mean of a list of tensors, element by element.

    Example:
        >>> Average()([np.ones((1, 2)), np.full((1, 2), 2.0)]).tolist()
        [[1.5, 1.5]]
    """

    def call(self, inputs: Any) -> Any:
        inputs = _several(self, inputs)
        return ops.scale(reduce(ops.add, inputs), 1.0 / len(inputs))


class Concatenate(Layer):
    """Tensors side by side: all dimensions but one must agree.

    Args:
        axis: along which they are joined; default -1, the channels.

    Raises:
        ValueError: dimensions that do not agree.

    Example:
        >>> Concatenate()([np.ones((1, 4, 4, 2)), np.ones((1, 4, 4, 3))]).shape
        (1, 4, 4, 5)
    """

    def __init__(self, axis: int = -1, **kwargs: Any):
        super().__init__(**kwargs)
        self.axis = integer(self, "axis", axis, -8)

    def call(self, inputs: Any) -> Any:
        return ops.concatenate(_several(self, inputs), axis=self.axis)


def add(inputs: Any, **kwargs: Any) -> Any:
    """What a new `Add` makes of the inputs.

    Example:
        >>> add([np.ones((1, 2)), np.ones((1, 2))]).tolist()
        [[2.0, 2.0]]
    """
    return Add(**kwargs)(inputs)


def subtract(inputs: Any, **kwargs: Any) -> Any:
    """What a new `Subtract` makes of the inputs."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Any, **kwargs: Any) -> Any:
    """What a new `Multiply` makes of the inputs."""
    return Multiply(**kwargs)(inputs)


def average(inputs: Any, **kwargs: Any) -> Any:
    """What a new `Average` makes of the inputs."""
    return Average(**kwargs)(inputs)


def concatenate(inputs: Any, axis: int = -1, **kwargs: Any) -> Any:
    """What a new `Concatenate` makes of the inputs."""
    return Concatenate(axis, **kwargs)(inputs)
