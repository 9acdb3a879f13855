"""Where data enters a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnfast.graph.values import Node, Shape, Spec, Value
from cnnfast.layers.arguments import integer, refuse
from cnnfast.layers.base import Layer

_DTYPES = ("float32", "uint8", "int32")


class InputLayer(Layer):
    """An input of a model; `Input` makes one and returns its value, `InputLayer(shape).output`.

    Args:
        shape: of one sample, without the batch; None for a dimension that may vary.
        batch_size: number of samples if it is fixed. Default None.
        dtype: "float32" (default), "uint8" or "int32".
        sparse: not supported.
        ragged: not supported.
        batch_shape: the whole shape, instead of `shape` and `batch_size`.
        name: default "input_layer".

    Raises:
        ValueError: no shape or two, a dimension below 1, another dtype.
    """

    def __init__(
        self,
        shape: Sequence[int | None] | int | None = None,
        batch_size: int | None = None,
        dtype: Any = None,
        sparse: Any = None,
        ragged: Any = None,
        batch_shape: Sequence[int | None] | None = None,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        refuse(self, sparse=sparse or None, ragged=ragged or None)
        self.dtype = _dtype(dtype)
        self.batch_shape = self._whole_shape(shape, batch_size, batch_shape)
        self.built = True
        node = Node(self, [])
        node.outputs = [Value(Spec(self.batch_shape, self.dtype), node=node, name=self.name)]
        self._nodes.append(node)

    def _whole_shape(self, shape: Any, batch_size: int | None, batch_shape: Any) -> Shape:
        if (shape is None) == (batch_shape is None):
            raise ValueError(
                f"InputLayer: give either shape or batch_shape, got shape={shape!r} and batch_shape={batch_shape!r}"
            )
        if batch_shape is not None:
            if batch_size is not None:
                raise ValueError(f"InputLayer: batch_shape={batch_shape!r} already says the batch_size={batch_size!r}")
        elif isinstance(shape, int):
            batch_shape = (batch_size, shape)
        else:
            batch_shape = (batch_size, *shape)
        if len(batch_shape) < 1:
            raise ValueError(f"InputLayer: batch_shape needs at least the batch dimension, got {batch_shape!r}")
        return tuple(None if d is None else integer(self, "shape", d) for d in batch_shape)

    def call(self, x: Any) -> Any:
        return x

    def get_config(self) -> dict[str, Any]:
        return {"batch_shape": list(self.batch_shape), "dtype": self.dtype, "name": self.name}


def _dtype(dtype: Any) -> str:
    try:
        name = "float32" if dtype is None else np.dtype(dtype).name
    except TypeError:
        name = ""
    if name not in _DTYPES:
        raise ValueError(f"InputLayer: dtype must be one of {', '.join(_DTYPES)}, got {dtype!r}")
    return name


def Input(
    shape: Sequence[int | None] | int | None = None,
    batch_size: int | None = None,
    dtype: Any = None,
    sparse: Any = None,
    ragged: Any = None,
    batch_shape: Sequence[int | None] | None = None,
    name: str | None = None,
) -> Value:
    """The symbolic value at which data enters a model.

    Args:
        shape: of one sample, without the batch; None for a dimension that may vary.
        batch_size: number of samples if it is fixed. Default None.
        dtype: "float32" (default), "uint8" (images as they come, four times smaller) or "int32".
        sparse: not supported.
        ragged: not supported.
        batch_shape: the whole shape, instead of `shape` and `batch_size`.
        name: of the input's layer; default "input_layer", "input_layer_1", ...

    Returns:
        A `Value` to call layers on.

    Raises:
        ValueError: no shape or two, a dimension below 1, another dtype.

    Example:
        >>> Input((28, 28, 1)).shape
        (None, 28, 28, 1)
    """
    return InputLayer(shape, batch_size, dtype, sparse, ragged, batch_shape, name).output
