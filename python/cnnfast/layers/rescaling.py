"""Turning pixel values into small numbers."""

from __future__ import annotations

from typing import Any

from cnnfast import ops
from cnnfast.layers.arguments import number
from cnnfast.layers.base import Layer


class Rescaling(Layer):
    """x * scale + offset, the same for every element.

    Args:
        scale: factor, as 1 / 255 for images of 0 to 255.
        offset: what is added afterwards; default 0.
        **kwargs: name, trainable, input_shape.

    Shapes: any, and the same.

    Raises:
        ValueError: a number that is not finite.

    Example:
        >>> Rescaling(2.0, offset=-1.0)(np.array([[0.0, 1.0]]))
        array([[-1.,  1.]], dtype=float32)
    """

    def __init__(self, scale: float, offset: float = 0.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.scale = number(self, "scale", scale)
        self.offset = number(self, "offset", offset)

    def call(self, x: Any) -> Any:
        return ops.scale(x, self.scale, self.offset)
