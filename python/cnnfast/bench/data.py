"""Seeded random inputs, targets and weights: every process makes the same ones and none are sent."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from cnnfast.bench.spec import EXPLANATIONS, Workload


@dataclass(frozen=True)
class Data:
    """What a workload computes on.

    Attributes:
        x: (N, H, W, C) or (N, C); uint8 images for "augment".
        y: labels for "train", the classes to explain for explanations, the gradient of the output for kernels.
        weights: "layer/weight" -> array, in the order of the layers.
    """

    x: np.ndarray
    y: np.ndarray
    weights: dict[str, np.ndarray]


def make_data(workload: Workload) -> Data:
    """Data of a workload: standard normal inputs, weights that keep activations at their scale."""
    rng = np.random.default_rng(workload.seed)
    if workload.mode == "augment":
        images = rng.integers(0, 256, (workload.batch, *workload.input_shape), dtype=np.uint8)
        return Data(images, np.zeros(workload.batch, np.float32), {})
    x = rng.standard_normal((workload.batch, *workload.input_shape), dtype=np.float32)
    output = workload.shapes()[workload.layers[-1].name]
    weights = {name: _weight(rng, name, shape) for name, shape in workload.weight_shapes().items()}
    return Data(x, _target(rng, workload, output), weights)


def _target(rng: np.random.Generator, workload: Workload, output: tuple[int, ...]) -> np.ndarray:
    if workload.loss == "sparse_categorical_crossentropy" or workload.mode in EXPLANATIONS:
        return rng.integers(0, output[-1], workload.batch).astype(np.int32)
    if workload.loss == "binary_crossentropy":
        return rng.integers(0, 2, (workload.batch, *output)).astype(np.float32)
    return rng.standard_normal((workload.batch, *output), dtype=np.float32)


def _weight(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """He's normal initialisation (2015) for kernels; all else off its usual start, so that it matters."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    kind = name.rsplit("/", 1)[1]
    if kind == "kernel":
        depthwise = len(shape) == 4 and shape[3] == 1
        fan_in = prod(shape[:2]) if depthwise else prod(shape[:-1])
        return noise * np.float32(np.sqrt(2.0 / fan_in))
    if kind == "gamma":
        return 1 + np.float32(0.1) * noise
    if kind == "moving_variance":
        return 1 + np.float32(0.2) * np.abs(noise)
    return np.float32(0.1) * noise
