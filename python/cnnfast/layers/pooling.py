"""Pooling layers."""

from __future__ import annotations

from typing import Any

from cnnfast import ops
from cnnfast.layers.arguments import channels_last, images, pair
from cnnfast.layers.base import Layer
from cnnfast.ops.window import IntPair, normal_padding


class _Pooling(Layer):
    """A window that moves over the image; the channels stay apart."""

    def __init__(
        self,
        pool_size: IntPair,
        strides: IntPair | None = None,
        padding: Any = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        channels_last(self, data_format)
        self.pool_size = pair(self, "pool_size", pool_size)
        self.strides = self.pool_size if strides is None else pair(self, "strides", strides)
        self.padding = normal_padding(type(self).__name__, padding)

    def build(self, input_shape: Any) -> None:
        images(self, input_shape)


class MaxPooling2D(_Pooling):
    """The largest value of each window. Input (N, H, W, C), output (N, P, Q, C).

    Args:
        pool_size: rows and columns of the window; default 2.
        strides: step of the window; default `pool_size`.
        padding: "valid" (default): windows lie within the image; "same": P = ceil(H / stride).
        data_format: "channels_last", the only one.
        name: unique name.

    Raises:
        ValueError: an argument out of range; a window larger than the image.

    Example:
        >>> MaxPooling2D()(np.arange(16.0).reshape(1, 4, 4, 1)).ravel().tolist()
        [5.0, 7.0, 13.0, 15.0]
    """

    def __init__(
        self,
        pool_size: IntPair = (2, 2),
        strides: IntPair | None = None,
        padding: Any = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(pool_size, strides, padding, data_format, name, **kwargs)

    def call(self, x: Any) -> Any:
        return ops.max_pool2d(x, self.pool_size, strides=self.strides, padding=self.padding)


class AveragePooling2D(_Pooling):
    """The mean of each window; what lies outside the image does not count.

    Input (N, H, W, C), output (N, P, Q, C).

    Args:
        pool_size: rows and columns of the window.
        strides: step of the window; default `pool_size`.
        padding: "valid" (default): windows lie within the image; "same": P = ceil(H / stride).
        data_format: "channels_last", the only one.
        name: unique name.

    Raises:
        ValueError: an argument out of range; a window larger than the image.

    Example:
        >>> AveragePooling2D(2)(np.arange(16.0).reshape(1, 4, 4, 1)).ravel().tolist()
        [2.5, 4.5, 10.5, 12.5]
    """

    def call(self, x: Any) -> Any:
        return ops.average_pool2d(x, self.pool_size, strides=self.strides, padding=self.padding)


class _GlobalPooling(Layer):
    """One value a channel for the whole image."""

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        channels_last(self, data_format)
        self.keepdims = bool(keepdims)

    def build(self, input_shape: Any) -> None:
        images(self, input_shape)


class GlobalAveragePooling2D(_GlobalPooling):
    """The mean of each channel. Input (N, H, W, C), output (N, C).

    Args:
        data_format: "channels_last", the only one.
        keepdims: the output is (N, 1, 1, C). Default False.

    Example:
        >>> GlobalAveragePooling2D()(np.ones((2, 4, 4, 3))).shape
        (2, 3)

    Source: Lin, Chen and Yan, "Network in network" (2013).
    """

    def call(self, x: Any) -> Any:
        return ops.global_average_pool2d(x, keepdims=self.keepdims)


class GlobalMaxPooling2D(_GlobalPooling):
    """The largest value of each channel. Input (N, H, W, C), output (N, C).

    Args:
        data_format: "channels_last", the only one.
        keepdims: the output is (N, 1, 1, C). Default False.

    Example:
        >>> GlobalMaxPooling2D(keepdims=True)(np.ones((2, 4, 4, 3))).shape
        (2, 1, 1, 3)
    """

    def call(self, x: Any) -> Any:
        return ops.global_max_pool2d(x, keepdims=self.keepdims)


MaxPool2D, AvgPool2D = MaxPooling2D, AveragePooling2D
GlobalAvgPool2D, GlobalMaxPool2D = GlobalAveragePooling2D, GlobalMaxPooling2D
