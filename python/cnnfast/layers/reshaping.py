"""Layers that change shapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnfast import ops
from cnnfast.layers.arguments import channels_last, images, integer, number_or_list, pair, sides
from cnnfast.layers.base import Layer
from cnnfast.ops.window import IntPair


class Flatten(Layer):
    """All dimensions after the batch in one: (N, ...) to (N, product). Nothing is copied within a model.

    Args:
        data_format: "channels_last", the only one.

    Example:
        >>> Flatten()(np.ones((2, 3, 3, 4))).shape
        (2, 36)
    """

    def __init__(self, data_format: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        channels_last(self, data_format)

    def call(self, x: Any) -> Any:
        return ops.reshape(x, (-1,), keep_batch=True)


class Reshape(Layer):
    """The same elements of each sample in another shape: (N, ...) to (N, *target_shape).

    Args:
        target_shape: shape of one sample; one dimension may be -1 and is then worked out.

    Raises:
        ValueError: the input has another number of elements.

    Example:
        >>> Reshape((2, -1))(np.ones((5, 12))).shape
        (5, 2, 6)
    """

    def __init__(self, target_shape: Sequence[int], **kwargs: Any):
        super().__init__(**kwargs)
        if not isinstance(target_shape, (list, tuple)):
            raise TypeError(f"Reshape: target_shape must be a list of integers, got {target_shape!r}")
        self.target_shape = tuple(integer(self, "target_shape", d, -1) for d in target_shape)

    def call(self, x: Any) -> Any:
        return ops.reshape(x, self.target_shape, keep_batch=True)


class ZeroPadding2D(Layer):
    """Zeros around the image. Input (N, H, W, C), output (N, H + top + bottom, W + left + right, C).

    Args:
        padding: one number for all sides, (rows, columns), or ((top, bottom), (left, right)). Default 1.
        data_format: "channels_last", the only one.

    Raises:
        ValueError: a negative number.

    Example:
        >>> ZeroPadding2D(((0, 1), (2, 0)))(np.ones((1, 4, 4, 3))).shape
        (1, 5, 6, 3)
    """

    def __init__(self, padding: Any = (1, 1), data_format: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        channels_last(self, data_format)
        self.padding = sides(self, "padding", padding)

    def build(self, input_shape: Any) -> None:
        images(self, input_shape)

    def call(self, x: Any) -> Any:
        return ops.zero_pad2d(x, self.padding)


class Cropping2D(Layer):
    """Cuts the sides of the image off. Input (N, H, W, C), output (N, H - top - bottom, W - left - right, C).

    Args:
        cropping: one number for all sides, (rows, columns), or ((top, bottom), (left, right)). Default 0.
        data_format: "channels_last", the only one.

    Raises:
        ValueError: a negative number, or nothing left of the image.

    Example:
        >>> Cropping2D(1)(np.ones((1, 4, 5, 3))).shape
        (1, 2, 3, 3)
    """

    def __init__(self, cropping: Any = ((0, 0), (0, 0)), data_format: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        channels_last(self, data_format)
        self.cropping = sides(self, "cropping", cropping)

    def build(self, input_shape: Any) -> None:
        images(self, input_shape)

    def call(self, x: Any) -> Any:
        return ops.crop2d(x, self.cropping)


class UpSampling2D(Layer):
    """Enlarges the image by whole factors. Input (N, H, W, C), output (N, H * rows, W * columns, C).

    Args:
        size: factors (rows, columns), or one for both. Default 2.
        data_format: "channels_last", the only one.
        interpolation: "nearest" (default) repeats pixels; "bilinear" mixes the nearest four.

    Raises:
        ValueError: a factor below 1, another interpolation.

    Example:
        >>> UpSampling2D()(np.array([1.0, 2.0]).reshape(1, 1, 2, 1))[0, 0, :, 0].tolist()
        [1.0, 1.0, 2.0, 2.0]
    """

    def __init__(
        self,
        size: IntPair = (2, 2),
        data_format: str | None = None,
        interpolation: str = "nearest",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        channels_last(self, data_format)
        self.size = pair(self, "size", size)
        if interpolation not in ("nearest", "bilinear"):
            raise ValueError(f"UpSampling2D: interpolation must be 'nearest' or 'bilinear', got {interpolation!r}")
        self.interpolation = interpolation

    def build(self, input_shape: Any) -> None:
        images(self, input_shape)

    def call(self, x: Any) -> Any:
        return ops.upsample2d(x, self.size, interpolation=self.interpolation)


class Rescaling(Layer):
    """x * scale + offset, as for images: 1 / 255 takes bytes to [0, 1]. Output as the input, in float32.

    Args:
        scale: a number, or one for each channel.
        offset: a number, or one for each channel. Default 0.

    Raises:
        TypeError: neither numbers nor lists of numbers.

    Example:
        >>> Rescaling(1 / 255)(np.array([[0, 255]], np.uint8)).tolist()
        [[0.0, 1.0]]
    """

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.scale = number_or_list(self, "scale", scale)
        self.offset = number_or_list(self, "offset", offset)

    def call(self, x: Any) -> Any:
        if isinstance(self.scale, float) and isinstance(self.offset, float):
            return ops.scale(x, self.scale, self.offset)
        y = ops.multiply(x, np.asarray(self.scale, np.float32))
        return ops.add(y, np.asarray(self.offset, np.float32))
