"""Convolution layers."""

from __future__ import annotations

from typing import Any

from cnnfast import activations, initializers, ops, regularizers
from cnnfast.layers.arguments import channels_last, images, integer, last_dimension, pair, refuse
from cnnfast.layers.base import Layer
from cnnfast.ops.window import IntPair, normal_padding


class _Conv(Layer):
    """What all convolution layers share: the geometry of the window, bias, activation and penalty on the output."""

    def __init__(
        self,
        kernel_size: IntPair,
        strides: IntPair,
        padding: Any,
        dilation_rate: IntPair,
        activation: Any,
        use_bias: bool,
        bias_initializer: Any,
        bias_regularizer: Any,
        activity_regularizer: Any,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.kernel_size = pair(self, "kernel_size", kernel_size)
        self.strides = pair(self, "strides", strides)
        self.padding = normal_padding(type(self).__name__, padding)
        self.dilation_rate = pair(self, "dilation_rate", dilation_rate)
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        self.bias_initializer = initializers.get(bias_initializer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.bias: Any = None

    def _add_bias(self, channels: int) -> None:
        if self.use_bias:
            self.bias = self.add_weight(
                (channels,), self.bias_initializer, name="bias", regularizer=self.bias_regularizer
            )

    def _geometry(self) -> dict[str, Any]:
        return {"strides": self.strides, "padding": self.padding, "dilation": self.dilation_rate}

    def _finish(self, y: Any) -> Any:
        y = self.activation(y)
        if self.activity_regularizer is not None:
            self.add_loss(self.activity_regularizer.penalty(y))
        return y


class Conv2D(_Conv):
    """Two-dimensional convolution.

    Input (N, H, W, C), output (N, P, Q, filters); weights `kernel` (R, S, C // groups, filters) and `bias` (filters,).

    Args:
        filters: number of output channels K.
        kernel_size: rows and columns (R, S) of the window; one integer or two.
        strides: step of the window. Default 1.
        padding: "valid" (default): none; "same": P = ceil(H / stride); or integers as in `ops.conv2d`.
        data_format: "channels_last", the only one.
        dilation_rate: distance between the window's elements. Default 1.
        groups: independent parts that the channels are split into. Default 1.
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
        ValueError: an argument out of range; an input whose channels do not fit.

    Example:
        >>> Conv2D(8, 3, strides=2, padding="same", activation="relu")(np.ones((1, 9, 9, 3))).shape
        (1, 5, 5, 8)

    Source: LeCun et al., "Gradient-based learning applied to document recognition" (1998).
    """

    def __init__(
        self,
        filters: int,
        kernel_size: IntPair,
        strides: IntPair = (1, 1),
        padding: Any = "valid",
        data_format: str | None = None,
        dilation_rate: IntPair = (1, 1),
        groups: int = 1,
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
            kernel_size, strides, padding, dilation_rate, activation,
            use_bias, bias_initializer, bias_regularizer, activity_regularizer, **kwargs,
        )  # fmt: skip
        channels_last(self, data_format)
        refuse(self, kernel_constraint=kernel_constraint, bias_constraint=bias_constraint)
        self.filters = integer(self, "filters", filters)
        self.groups = integer(self, "groups", groups)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        if self.filters % self.groups:
            raise ValueError(f"Conv2D: filters={filters} cannot be split into groups={groups}")

    def build(self, input_shape: Any) -> None:
        channels = last_dimension(self, images(self, input_shape))
        if channels % self.groups:
            raise ValueError(f"{self.name}: {channels} input channels cannot be split into groups={self.groups}")
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        self.kernel = self.add_weight(
            shape, self.kernel_initializer, name="kernel", regularizer=self.kernel_regularizer
        )
        self._add_bias(self.filters)

    def call(self, x: Any) -> Any:
        return self._finish(ops.conv2d(x, self.kernel, self.bias, groups=self.groups, **self._geometry()))
