"""Convolution layers."""

from __future__ import annotations

from typing import Any

from cnnfast import initializers, ops, regularizers
from cnnfast.layers.affine import Affine
from cnnfast.layers.arguments import channels_last, images, integer, last_dimension, pair, refuse
from cnnfast.ops.window import IntPair, normal_padding


class _Conv(Affine):
    """What all convolution layers share: images come in, a window moves over them."""

    def __init__(
        self,
        kernel_size: IntPair,
        strides: IntPair,
        padding: Any,
        data_format: str | None,
        dilation_rate: IntPair,
        *affine: Any,  # as `Affine` takes them
        **kwargs: Any,
    ):
        super().__init__(*affine, **kwargs)
        channels_last(self, data_format)
        self.kernel_size = pair(self, "kernel_size", kernel_size)
        self.strides = pair(self, "strides", strides)
        self.padding = normal_padding(type(self).__name__, padding)
        self.dilation_rate = pair(self, "dilation_rate", dilation_rate)

    def _input_channels(self, input_shape: Any) -> int:
        return last_dimension(self, images(self, input_shape))

    def _geometry(self) -> dict[str, Any]:
        return {"strides": self.strides, "padding": self.padding, "dilation": self.dilation_rate}


class Conv2D(_Conv):
    """Two-dimensional convolution.

    Input (N, H, W, C), output (N, P, Q, filters); weights `kernel` (R, S, C // groups, filters)
    and `bias` (filters,).

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
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            bias_initializer, bias_regularizer, activity_regularizer, bias_constraint, **kwargs,
        )  # fmt: skip
        refuse(self, kernel_constraint=kernel_constraint)
        self.filters = integer(self, "filters", filters)
        self.groups = integer(self, "groups", groups)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        if self.filters % self.groups:
            raise ValueError(f"Conv2D: filters={filters} cannot be split into groups={groups}")

    def build(self, input_shape: Any) -> None:
        channels = self._input_channels(input_shape)
        if channels % self.groups:
            raise ValueError(f"{self.name}: {channels} input channels cannot be split into groups={self.groups}")
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        self.kernel = self.add_weight(
            shape, self.kernel_initializer, name="kernel", regularizer=self.kernel_regularizer
        )
        self._add_bias(self.filters)

    def call(self, x: Any) -> Any:
        return self._finish(ops.conv2d(x, self.kernel, self.bias, groups=self.groups, **self._geometry()))


class DepthwiseConv2D(_Conv):
    """Filters each channel on its own.

    Input (N, H, W, C), output (N, P, Q, C * depth_multiplier); weights `kernel` (R, S, C, depth_multiplier)
    and `bias` (C * depth_multiplier,).

    Args:
        kernel_size: rows and columns (R, S) of the window; one integer or two.
        strides: step of the window. Default 1.
        padding: "valid" (default): none; "same": P = ceil(H / stride); or integers as in `ops.conv2d`.
        depth_multiplier: output channels for each input channel. Default 1.
        data_format: "channels_last", the only one.
        dilation_rate: distance between the window's elements. Default 1.
        activation: name or function of ops applied to the result. Default none.
        use_bias: whether a bias is added. Default True.
        depthwise_initializer: default "glorot_uniform".
        bias_initializer: default "zeros".
        depthwise_regularizer: penalty on the kernel; default None.
        bias_regularizer: penalty on the bias; default None.
        activity_regularizer: penalty on the output; default None.
        depthwise_constraint: not supported.
        bias_constraint: not supported.

    Raises:
        ValueError: an argument out of range; an input whose channels do not fit.

    Example:
        >>> DepthwiseConv2D(3, depth_multiplier=2, padding="same")(np.ones((1, 8, 8, 3))).shape
        (1, 8, 8, 6)

    Source: Howard et al., "MobileNets" (2017).
    """

    def __init__(
        self,
        kernel_size: IntPair,
        strides: IntPair = (1, 1),
        padding: Any = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: IntPair = (1, 1),
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ):
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            bias_initializer, bias_regularizer, activity_regularizer, bias_constraint, **kwargs,
        )  # fmt: skip
        refuse(self, depthwise_constraint=depthwise_constraint)
        self.depth_multiplier = integer(self, "depth_multiplier", depth_multiplier)
        self.depthwise_initializer = initializers.get(depthwise_initializer)
        self.depthwise_regularizer = regularizers.get(depthwise_regularizer)

    def build(self, input_shape: Any) -> None:
        channels = self._input_channels(input_shape)
        self.kernel = self.add_weight(
            (*self.kernel_size, channels, self.depth_multiplier),
            self.depthwise_initializer,
            name="kernel",
            regularizer=self.depthwise_regularizer,
        )
        self._add_bias(channels * self.depth_multiplier)

    def call(self, x: Any) -> Any:
        return self._finish(ops.depthwise_conv2d(x, self.kernel, self.bias, **self._geometry()))


class SeparableConv2D(_Conv):
    """A depthwise convolution, then a 1x1 convolution that mixes its channels.

    Input (N, H, W, C), output (N, P, Q, filters); weights `depthwise_kernel` (R, S, C, depth_multiplier),
    `pointwise_kernel` (1, 1, C * depth_multiplier, filters) and `bias` (filters,).

    Args:
        filters: number of output channels K.
        kernel_size: rows and columns (R, S) of the window; one integer or two.
        strides: step of the window. Default 1.
        padding: "valid" (default): none; "same": P = ceil(H / stride); or integers as in `ops.conv2d`.
        data_format: "channels_last", the only one.
        dilation_rate: distance between the window's elements. Default 1.
        depth_multiplier: channels between the two steps for each input channel. Default 1.
        activation: name or function of ops applied to the result. Default none.
        use_bias: whether a bias is added. Default True.
        depthwise_initializer: default "glorot_uniform".
        pointwise_initializer: default "glorot_uniform".
        bias_initializer: default "zeros".
        depthwise_regularizer: penalty on the depthwise kernel; default None.
        pointwise_regularizer: penalty on the pointwise kernel; default None.
        bias_regularizer: penalty on the bias; default None.
        activity_regularizer: penalty on the output; default None.
        depthwise_constraint: not supported.
        pointwise_constraint: not supported.
        bias_constraint: not supported.

    Raises:
        ValueError: an argument out of range; an input whose channels do not fit.

    Example:
        >>> SeparableConv2D(16, 3)(np.ones((1, 8, 8, 3))).shape
        (1, 6, 6, 16)

    Source: Chollet, "Xception: deep learning with depthwise separable convolutions" (2017).
    """

    def __init__(
        self,
        filters: int,
        kernel_size: IntPair,
        strides: IntPair = (1, 1),
        padding: Any = "valid",
        data_format: str | None = None,
        dilation_rate: IntPair = (1, 1),
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ):
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            bias_initializer, bias_regularizer, activity_regularizer, bias_constraint, **kwargs,
        )  # fmt: skip
        refuse(self, depthwise_constraint=depthwise_constraint, pointwise_constraint=pointwise_constraint)
        self.filters = integer(self, "filters", filters)
        self.depth_multiplier = integer(self, "depth_multiplier", depth_multiplier)
        self.depthwise_initializer = initializers.get(depthwise_initializer)
        self.depthwise_regularizer = regularizers.get(depthwise_regularizer)
        self.pointwise_initializer = initializers.get(pointwise_initializer)
        self.pointwise_regularizer = regularizers.get(pointwise_regularizer)

    def build(self, input_shape: Any) -> None:
        channels = self._input_channels(input_shape)
        self.depthwise_kernel = self.add_weight(
            (*self.kernel_size, channels, self.depth_multiplier),
            self.depthwise_initializer,
            name="depthwise_kernel",
            regularizer=self.depthwise_regularizer,
        )
        self.pointwise_kernel = self.add_weight(
            (1, 1, channels * self.depth_multiplier, self.filters),
            self.pointwise_initializer,
            name="pointwise_kernel",
            regularizer=self.pointwise_regularizer,
        )
        self._add_bias(self.filters)

    def call(self, x: Any) -> Any:
        y = ops.depthwise_conv2d(x, self.depthwise_kernel, **self._geometry())
        return self._finish(ops.conv2d(y, self.pointwise_kernel, self.bias))


class Conv2DTranspose(_Conv):
    """Transposed convolution: enlarges, with weights.

    Input (N, H, W, C), output (N, P, Q, filters) with the sizes of `ops.conv2d_transpose`: P = H * stride for
    "same"; weights `kernel` (R, S, filters, C) and `bias` (filters,).

    Args:
        filters: number of output channels K.
        kernel_size: rows and columns (R, S) of the window; one integer or two.
        strides: by which the image grows. Default 1.
        padding: "valid" (default), "same", or integers as in `ops.conv2d_transpose`.
        output_padding: rows and columns added at bottom and right, smaller than the strides. Default None.
        data_format: "channels_last", the only one.
        dilation_rate: distance between the window's elements. Default 1.
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
        >>> Conv2DTranspose(4, 3, strides=2, padding="same")(np.ones((1, 5, 5, 3))).shape
        (1, 10, 10, 4)

    Source: Zeiler et al., "Deconvolutional networks" (2010).
    """

    def __init__(
        self,
        filters: int,
        kernel_size: IntPair,
        strides: IntPair = (1, 1),
        padding: Any = "valid",
        output_padding: IntPair | None = None,
        data_format: str | None = None,
        dilation_rate: IntPair = (1, 1),
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
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            bias_initializer, bias_regularizer, activity_regularizer, bias_constraint, **kwargs,
        )  # fmt: skip
        refuse(self, kernel_constraint=kernel_constraint)
        self.filters = integer(self, "filters", filters)
        self.output_padding = None if output_padding is None else pair(self, "output_padding", output_padding, 0)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)

    def build(self, input_shape: Any) -> None:
        channels = self._input_channels(input_shape)
        shape = (*self.kernel_size, self.filters, channels)
        self.kernel = self.add_weight(
            shape, self.kernel_initializer, name="kernel", regularizer=self.kernel_regularizer
        )
        self._add_bias(self.filters)

    def call(self, x: Any) -> Any:
        geometry = {**self._geometry(), "output_padding": self.output_padding}
        return self._finish(ops.conv2d_transpose(x, self.kernel, self.bias, **geometry))
