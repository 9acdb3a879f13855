"""Layers that act in training only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnfast import ops
from cnnfast.graph.values import Value
from cnnfast.layers.arguments import channels_last, images, integer, number
from cnnfast.layers.base import Layer
from cnnfast.random import check_seed


class Dropout(Layer):
    """In training sets a share of the values to 0 and divides the others by 1 - rate; otherwise does nothing.

    Args:
        rate: share of the values that are dropped, in [0, 1].
        noise_shape: shape of the mask: 1 where values along a dimension drop together, None for the input's
            own size. Default: each value on its own.
        seed: on arrays, layers with the same seed drop the same places call by call; within a model, step by
            step, and what changes from step to step follows from `utils.set_random_seed`. Default: each
            layer drops places of its own.

    Raises:
        ValueError: a rate outside [0, 1], a noise_shape that does not fit the input.

    Example:
        >>> Dropout(0.5)(np.ones((1, 4))).tolist()
        [[1.0, 1.0, 1.0, 1.0]]
        >>> sorted(set(Dropout(0.5)(np.ones((1, 64)), training=True).ravel().tolist()))
        [0.0, 2.0]

    Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting" (2014).
    """

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.rate = number(self, "rate", rate, 0.0, 1.0)
        self.seed = None if seed is None else check_seed(type(self).__name__, seed, 2**62)
        self._draws = None if seed is None else np.random.default_rng(seed)
        self.noise_shape = (
            None
            if noise_shape is None
            else tuple(None if d is None else integer(self, "noise_shape", d) for d in noise_shape)
        )

    def call(self, x: Any, training: bool = False) -> Any:
        if not training or self.rate == 0:
            return x
        seed = self.seed
        if self._draws is not None and not isinstance(x, Value):
            seed = int(self._draws.integers(2**62))
        return ops.dropout(x, self.rate, self._mask_shape(), seed)

    def _mask_shape(self) -> Sequence[int | None] | None:
        return self.noise_shape


class SpatialDropout2D(Dropout):
    """Dropout of whole channels: all pixels of one sample's channel are kept or dropped together.

    Args:
        rate: share of the channels that are dropped, in [0, 1].
        data_format: "channels_last", the only one.
        seed: as in `Dropout`.
        name: unique name.

    Raises:
        ValueError: a rate outside [0, 1]; an input that is not (N, H, W, C).

    Example:
        >>> SpatialDropout2D(0.5)(np.ones((2, 4, 4, 3))).shape
        (2, 4, 4, 3)

    Source: Tompson et al., "Efficient object localization using convolutional networks" (2015).
    """

    def __init__(
        self,
        rate: float,
        data_format: str | None = None,
        seed: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(rate, seed=seed, name=name, **kwargs)
        channels_last(self, data_format)

    def build(self, input_shape: Any) -> None:
        images(self, input_shape)

    def _mask_shape(self) -> Sequence[int | None]:
        return (None, 1, 1, None)
