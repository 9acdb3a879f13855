"""The filters of a network's first convolution, which can be looked at as they are: small images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from cnnfast.layers.base import Layer
from cnnfast.layers.conv import Conv2D
from cnnfast.layers.preprocessing import Preprocess, mode_of
from cnnfast.models.model import Model


def first_layer_filters(model: Model, symmetric: bool = False) -> np.ndarray:
    """The first convolution's filters as images.

    Args:
        model: built; its first `Conv2D` may be in a nested model. Where the images' channels are turned around before
            it (`Preprocess` of mode "caffe" or "squeezenet"), the filters' are turned back, so that they are RGB.
        symmetric: False: each filter is stretched to [0, 1]. True: a weight of 0 becomes 0.5 in all filters, and each
            keeps the balance of its positive and negative weights.

    Returns:
        float32 (K, R, S, C) in [0, 1]; a filter whose weights are all the same is 0, with `symmetric` and weights of 0
        it is 0.5.

    Raises:
        ValueError: no `Conv2D`, or one that is not built.
        TypeError: no model.

    Source: Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks" (2012),
    figure 3.

    Example:
        >>> first_layer_filters(convnet).shape
        (4, 3, 3, 3)
    """
    if not isinstance(model, Model):
        raise TypeError(f"first_layer_filters: model must be a cnnfast model, got {type(model).__name__}")
    bgr = False
    for layer in _leaves(model):
        if isinstance(layer, Preprocess):
            bgr = mode_of("first_layer_filters", layer.mode).bgr
        elif isinstance(layer, Conv2D):
            return _scaled(_kernel(layer)[:, :, :: -1 if bgr else 1], symmetric)
    raise ValueError(f"first_layer_filters: {model.name} has no Conv2D")


def _leaves(layer: Any) -> Iterator[Layer]:
    if isinstance(layer, Model):
        for inner in layer.layers:
            yield from _leaves(inner)
    else:
        yield layer


def _kernel(layer: Conv2D) -> np.ndarray:
    """(R, S, C, K)."""
    weights = layer.get_weights()
    if not weights:
        raise ValueError(f"first_layer_filters: {layer.name} is not built; it has no weights yet")
    return weights[0]


def _scaled(kernel: np.ndarray, symmetric: bool) -> np.ndarray:
    filters = kernel.transpose(3, 0, 1, 2).astype(np.float64)
    low, high = (f(filters, axis=(1, 2, 3), keepdims=True) for f in (np.min, np.max))
    if symmetric:
        low, high = -np.maximum(high, -low), np.maximum(high, -low)
        empty = 0.5
    else:
        empty = 0.0
    flat = high == low
    return np.where(flat, empty, (filters - low) / np.where(flat, 1, high - low)).astype(np.float32)
