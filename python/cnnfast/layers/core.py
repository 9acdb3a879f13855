"""Layers that are the same for any kind of data."""

from __future__ import annotations

from typing import Any

from cnnfast import initializers, ops, regularizers
from cnnfast.layers.affine import Affine
from cnnfast.layers.arguments import integer, last_dimension, refuse
from cnnfast.layers.base import Layer


class Dense(Affine):
    """Every output is a weighted sum of all inputs along the last axis.

    Input (N, ..., in), output (N, ..., units); weights `kernel` (in, units) and `bias` (units,).

    Args:
        units: number of outputs.
        activation: name or function of ops applied to the result. Default none.
        use_bias: whether a bias is added. Default True.
        kernel_initializer: default "glorot_uniform".
        bias_initializer: default "zeros".
        kernel_regularizer: penalty on the kernel; default None.
        bias_regularizer: penalty on the bias; default None.
        activity_regularizer: penalty on the output; default None.
        kernel_constraint: not supported.
        bias_constraint: not supported.

    Raises:
        ValueError: an argument out of range; an input with another number of features than the first one had.

    Example:
        >>> Dense(10, activation="relu")(np.ones((2, 64))).shape
        (2, 10)
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ):
        super().__init__(
            activation, use_bias, bias_initializer, bias_regularizer, activity_regularizer, bias_constraint, **kwargs
        )
        refuse(self, kernel_constraint=kernel_constraint)
        self.units = integer(self, "units", units)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)

    def build(self, input_shape: Any) -> None:
        shape = (last_dimension(self, input_shape), self.units)
        self.kernel = self.add_weight(
            shape, self.kernel_initializer, name="kernel", regularizer=self.kernel_regularizer
        )
        self._add_bias(self.units)

    def call(self, x: Any) -> Any:
        return self._finish(ops.dense(x, self.kernel, self.bias))


class Identity(Layer):
    """Its input, unchanged.

    Example:
        >>> Identity()(np.ones((1, 2))).tolist()
        [[1.0, 1.0]]
    """

    def call(self, x: Any) -> Any:
        return x
