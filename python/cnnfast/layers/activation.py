"""Activations as layers of their own."""

from __future__ import annotations

from typing import Any

from cnnfast import activations, ops
from cnnfast.layers.arguments import number, refuse
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
    """max(x, 0); with a slope s, x < 0 gives s * x; with a limit m, the result is at most m.

    Args:
        max_value: the limit; default None.
        negative_slope: default 0.
        threshold: 0, the only one.

    Raises:
        ValueError: an argument that is negative, another threshold.

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
        refuse(self, threshold=threshold or None)
        self.max_value = None if max_value is None else number(self, "max_value", max_value, 0.0)
        self.negative_slope = number(self, "negative_slope", negative_slope or 0.0, 0.0)

    def call(self, x: Any) -> Any:
        if self.max_value == 6.0 and not self.negative_slope:
            return ops.relu6(x)
        y = ops.leaky_relu(x, self.negative_slope) if self.negative_slope else ops.relu(x)
        if self.max_value is None:
            return y
        # min(y, m) = y - relu(y - m), which leaves every y up to m as it is, however large m
        return ops.subtract(y, ops.relu(ops.scale(y, 1.0, -self.max_value)))


class LeakyReLU(Layer):
    """x where x > 0, else negative_slope * x.

    Args:
        negative_slope: default 0.3, as Keras' layer has it (its activation function has 0.2).

    Raises:
        ValueError: a negative slope.

    Example:
        >>> LeakyReLU(0.5)(np.array([[-2.0, 2.0]])).tolist()
        [[-1.0, 2.0]]

    Source: Maas, Hannun and Ng, "Rectifier nonlinearities improve neural network acoustic models" (2013).
    """

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any):
        super().__init__(**kwargs)
        self.negative_slope = number(self, "negative_slope", negative_slope, 0.0)

    def call(self, x: Any) -> Any:
        return ops.leaky_relu(x, self.negative_slope)


class ELU(Layer):
    """x where x > 0, else alpha * (exp(x) - 1).

    Args:
        alpha: default 1.

    Example:
        >>> ELU()(np.array([[-1000.0, 2.0]])).tolist()
        [[-1.0, 2.0]]

    Source: Clevert, Unterthiner and Hochreiter, "Fast and accurate deep network learning by exponential
    linear units" (2016).
    """

    def __init__(self, alpha: float = 1.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.alpha = number(self, "alpha", alpha)

    def call(self, x: Any) -> Any:
        return ops.elu(x, self.alpha)


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
