"""Between cnnfast's layouts and the (N, C, H, W) world of PyTorch and ONNX."""

from __future__ import annotations

import numpy as np

from cnnfast.bench.shapes import Shape
from cnnfast.bench.spec import Workload


def images_first(x: np.ndarray) -> np.ndarray:
    """(N, H, W, C) to a contiguous (N, C, H, W); other ranks as they are."""
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2)) if x.ndim == 4 else x


def images_last(x: np.ndarray) -> np.ndarray:
    """The inverse of `images_first`."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if x.ndim == 4 else x


class WeightLayout:
    """Turns a workload's weights into channels-first ones and back.

    Kernels (R,S,C,K) become (K,C,R,S), dense weights (in,out) become (out,in). A dense layer that reads a
    flattened image finds its inputs in another order: (C,H,W) instead of (H,W,C).
    """

    def __init__(self, workload: Workload):
        self._flattened = _flattened_images(workload)
        self._depthwise = {layer.name for layer in workload.layers if layer.kind == "depthwise"}

    def convert(self, name: str, w: np.ndarray) -> np.ndarray:
        layer = name.rsplit("/", 1)[0]
        if w.ndim == 4:
            return np.ascontiguousarray(
                w.transpose(2, 3, 0, 1) if layer in self._depthwise else w.transpose(3, 2, 0, 1)
            )
        if w.ndim != 2:
            return w
        if layer in self._flattened:
            w = w.reshape(*self._flattened[layer], -1).transpose(2, 0, 1, 3).reshape(w.shape)
        return np.ascontiguousarray(w.T)

    def restore(self, name: str, w: np.ndarray) -> np.ndarray:
        layer = name.rsplit("/", 1)[0]
        if w.ndim == 4:
            return np.ascontiguousarray(
                w.transpose(2, 3, 0, 1) if layer in self._depthwise else w.transpose(2, 3, 1, 0)
            )
        if w.ndim != 2:
            return w
        w = w.T
        if layer in self._flattened:
            rows, columns, channels = self._flattened[layer]
            w = w.reshape(channels, rows, columns, -1).transpose(1, 2, 0, 3).reshape(w.shape)
        return np.ascontiguousarray(w)


def _flattened_images(workload: Workload) -> dict[str, Shape]:
    """Dense layers that read a flattened image, directly or through dropout -> its (H, W, C)."""
    shapes = workload.shapes()
    flat: dict[str, Shape] = {}
    dense: dict[str, Shape] = {}
    for layer in workload.layers:
        source = layer.inputs[0]
        if layer.kind == "flatten" and len(shapes[source]) == 3:
            flat[layer.name] = shapes[source]
        elif source in flat and layer.kind == "dropout":
            flat[layer.name] = flat[source]
        elif source in flat and layer.kind == "dense":
            dense[layer.name] = flat[source]
        elif source in flat:
            raise ValueError(f"bench: {layer.kind} {layer.name} after flatten has no channels-first form")
    return dense
