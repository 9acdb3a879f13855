"""Layers that change shapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cnnfast import ops
from cnnfast.layers.arguments import channels_last
from cnnfast.layers.base import Layer


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
        self.target_shape = tuple(int(d) for d in target_shape)

    def call(self, x: Any) -> Any:
        return ops.reshape(x, self.target_shape, keep_batch=True)
