"""Activations as layers of their own."""

from __future__ import annotations

from typing import Any

from cnnfast import activations, ops
from cnnfast.layers.arguments import number
from cnnfast.layers.base import Layer


class Activation(Layer):
    """Applies an activation function.

    Args:
        activation: a name as "relu", or any function made of ops.

    Example:
        >>> Activation("relu")(np.array([[-1.0, 2.0]])).tolist()
        [[0.0, 2.0]]
    """

    def __init__(self, activation: Any, **kwargs: Any):
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, x: Any) -> Any:
        return self.activation(x)


class ReLU(Layer):
    """max(x, 0), or with slope a, threshold t and limit m: min(x, m) where x >= t, else a * (x - t).

    Args:
        max_value: upper limit; default None.
        negative_slope: default 0.
        threshold: default 0.

    Raises:
        ValueError: an argument that is negative.

    Example:
        >>> ReLU(max_value=6.0)(np.array([[-1.0, 2.0, 7.0]])).tolist()
        [[0.0, 2.0, 6.0]]
    """

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.max_value = None if max_value is None else number(self, "max_value", max_value, 0.0)
        self.negative_slope = 0.0 if negative_slope is None else number(self, "negative_slope", negative_slope, 0.0)
        self.threshold = 0.0 if threshold is None else number(self, "threshold", threshold, 0.0)

    def call(self, x: Any) -> Any:
        return activations.relu(
            x, negative_slope=self.negative_slope, max_value=self.max_value, threshold=self.threshold
        )


class LeakyReLU(Layer):
    """x where x > 0, else negative_slope * x.

    Args:
        negative_slope: default 0.3, as Keras' layer has it (its activation function has 0.2).

    Example:
        >>> LeakyReLU(0.5)(np.array([[-2.0, 2.0]])).tolist()
        [[-1.0, 2.0]]

    Source: Maas, Hannun and Ng, "Rectifier nonlinearities improve neural network acoustic models" (2013).
    """

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any):
        super().__init__(**kwargs)
        self.negative_slope = number(self, "negative_slope", negative_slope)

    def call(self, x: Any) -> Any:
        return ops.leaky_relu(x, negative_slope=self.negative_slope)


class Softmax(Layer):
    """exp(x) divided by its sum over the last axis: numbers become probabilities.

    Args:
        axis: -1, the only one.

    Example:
        >>> Softmax()(np.zeros((1, 4))).tolist()
        [[0.25, 0.25, 0.25, 0.25]]
    """

    def __init__(self, axis: int = -1, **kwargs: Any):
        super().__init__(**kwargs)
        if axis != -1:
            raise ValueError(f"Softmax: only axis=-1 is supported, got {axis!r}")
        self.axis = axis

    def call(self, x: Any) -> Any:
        return ops.softmax(x)
