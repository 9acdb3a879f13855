"""Layers that act in training only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cnnfast import ops
from cnnfast.layers.arguments import channels_last, images, number
from cnnfast.layers.base import Layer
from cnnfast.random import check_seed


class Dropout(Layer):
    """Sets a share of the values to 0 in training and divides the rest by 1 - rate; otherwise does nothing.

    Args:
        rate: share of values that are dropped, in [0, 1].
        noise_shape: shape of the mask, with 1 (or None for the input's size) for dimensions in which the mask is the
            same; default the input's shape.
        seed: makes this layer's masks differ from those of other seeds. In a model they follow from it and from
            `utils.set_random_seed`.

    Raises:
        ValueError: a rate outside [0, 1].

    Example:
        >>> Dropout(0.5)(np.ones((1, 4))).tolist()
        [[1.0, 1.0, 1.0, 1.0]]

    Source: Srivastava et al., "Dropout" (2014).
    """
