"""Random networks as data, so that each library builds the same one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np


@dataclass
class Network:
    """Layers in order; a layer is (kind, settings). `shortcut` adds the value before the previous `back` layers."""

    input_shape: tuple[int, int, int]
    batch: int
    classes: int
    layers: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


def random_network(seed: int, *, groups: bool, norm: bool = True) -> Network:
    """A small network over odd sizes, strides, paddings, dilation and, if asked, groups."""
    rng = np.random.default_rng(seed)
    pick = lambda *options: options[int(rng.integers(len(options)))]  # noqa: E731
    height, width, channels = int(rng.integers(9, 24)), int(rng.integers(9, 24)), pick(1, 3, 4, 5)
    net = Network((height, width, channels), int(rng.integers(1, 34)), int(rng.integers(2, 12)))
    h, w, c = height, width, channels
    for _ in range(int(rng.integers(2, 5))):
        kernel = (pick(1, 2, 3, 5), pick(1, 3, 3, 4))
        strides = pick((1, 1), (1, 1), (2, 2), (2, 1) if groups else (3, 3))
        dilation = pick((1, 1), (2, 2), (1, 2) if groups else (1, 1)) if strides == (1, 1) else (1, 1)
        padding = pick("same", "valid")
        spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
        if padding == "valid" and (h < spans[0] + 4 or w < spans[1] + 4):
            padding = "same"
        group = pick(1, 2, c) if groups and c > 1 else 1
        group = group if c % group == 0 else 1
        filters = int(rng.integers(1, 8)) * group
        net.layers.append(
            (
                "conv",
                {
                    "filters": filters, "kernel": kernel, "strides": strides, "padding": padding, "dilation": dilation,
                    "groups": group, "bias": bool(rng.integers(2)),
                    "activation": pick("relu", "linear", "tanh", "sigmoid"),
                },
            )
        )  # fmt: skip
        h, w = (
            -(-n // s) if padding == "same" else (n - k) // s + 1
            for n, s, k in zip((h, w), strides, spans, strict=True)
        )
        c = filters
        extra = pick("norm" if norm else "none", "shortcut", "depthwise", "none")
        if extra == "norm":
            net.layers.append(("norm", {"momentum": 0.9, "epsilon": 1e-3}))
        elif extra == "shortcut":
            settings = {
                "filters": c,
                "kernel": (3, 3),
                "strides": (1, 1),
                "padding": "same",
                "dilation": (1, 1),
                "groups": 1,
                "bias": True,
            }
            net.layers += [("conv", {**settings, "activation": "linear"}), ("shortcut", {"back": 1})]
        elif extra == "depthwise":
            net.layers.append(("depthwise", {"kernel": (3, 3), "strides": (1, 1), "multiplier": pick(1, 2)}))
            c *= net.layers[-1][1]["multiplier"]
        if h >= 5 and w >= 5:
            kind = pick("max_pool", "average_pool", "none")
            if kind != "none":
                size, stride, padding = pick((2, 2), (3, 2)), pick((2, 2), (1, 2)), pick("same", "valid")
                net.layers.append((kind, {"size": size, "strides": stride, "padding": padding}))
                h, w = (
                    -(-n // s) if padding == "same" else (n - k) // s + 1
                    for n, s, k in zip((h, w), stride, size, strict=True)
                )
    net.layers.append((pick("flatten", "global_average", "global_max"), {}))
    net.layers.append(("dense", {"units": int(rng.integers(3, 20)), "activation": pick("relu", "tanh")}))
    net.layers.append(("dense", {"units": net.classes, "activation": "linear"}))
    return net


def wide_network(seed: int) -> Network:
    """Convolutions 3x3 with stride 1 of 16 to 48 channels, as Winograd's algorithm is for, and what is around them.

    No global maximum: which of hundreds of nearly equal pixels it takes, and with it the gradient, rounding decides.
    """
    rng = np.random.default_rng(500 + seed)
    pick = lambda *options: options[int(rng.integers(len(options)))]  # noqa: E731
    height, width = int(rng.integers(12, 29)), int(rng.integers(12, 29))
    net = Network((height, width, pick(1, 3, 16)), int(rng.integers(2, 34)), int(rng.integers(2, 12)))
    plain = {"kernel": (3, 3), "strides": (1, 1), "dilation": (1, 1), "groups": 1, "bias": True}
    for block in range(3):
        filters, padding = int(rng.integers(16, 49)), pick("same", "valid") if block < 2 else "same"
        net.layers.append(
            ("conv", {**plain, "filters": filters, "padding": padding, "activation": pick("relu", "linear", "tanh")})
        )
        extra = pick("norm", "shortcut", "none")
        if extra == "norm":
            net.layers.append(("norm", {"momentum": 0.9, "epsilon": 1e-3}))
        elif extra == "shortcut":
            net.layers.append(("conv", {**plain, "filters": filters, "padding": "same", "activation": "linear"}))
            net.layers.append(("shortcut", {"back": 1}))
        if block < 2 and pick(True, False):
            kind = pick("max_pool", "average_pool")
            net.layers.append((kind, {"size": (2, 2), "strides": (2, 2), "padding": "same"}))
    net.layers.append((pick("flatten", "global_average"), {}))
    net.layers.append(("dense", {"units": net.classes, "activation": "linear"}))
    return net


class Settings(NamedTuple):
    rate: float  # SGD's
    epsilon: float  # Adam's
    tolerance: float  # of weights after five steps


def settings(kind: str) -> Settings:
    """How networks of a kind are trained and compared.

    Wide networks have tens of thousands of weights a layer. Among so many gradients some are as small as rounding
    errors, and Adam with a small epsilon makes full steps of them in a direction that rounding decides; with high
    rates the loss explodes. PyTorch in float32 then misses its own results in float64 by 3e-2; here by 4e-4 at most.
    F(6x6,3x3) rounds some five times as coarsely as F(4x4,3x3), and as many more ReLUs and maxima decide otherwise.
    """
    if kind == "narrow":
        return Settings(0.05, 1e-7, 1e-3)
    return Settings(0.01, 1e-3, 5e-3 if kind == "winograd6" else 1e-3)


def data(net: Network, seed: int, batches: int) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(1000 + seed)
    return [
        (
            rng.standard_normal((net.batch, *net.input_shape)).astype(np.float32),
            rng.integers(0, net.classes, net.batch).astype(np.int32),
        )
        for _ in range(batches)
    ]


def build_keras_like(net: Network, library: Any) -> Any:
    """The network in cnnfast or in Keras: the same calls do for both, which is itself a promise."""
    layers = library.layers
    x = inputs = library.Input(net.input_shape)
    history = [x]
    for kind, s in net.layers:
        if kind == "conv":
            x = layers.Conv2D(
                s["filters"], s["kernel"], strides=s["strides"], padding=s["padding"], dilation_rate=s["dilation"],
                groups=s["groups"], use_bias=s["bias"], activation=s["activation"],
            )(x)  # fmt: skip
        elif kind == "depthwise":
            x = layers.DepthwiseConv2D(
                s["kernel"], strides=s["strides"], padding="same", depth_multiplier=s["multiplier"]
            )(x)
        elif kind == "norm":
            x = layers.BatchNormalization(momentum=s["momentum"], epsilon=s["epsilon"])(x)
        elif kind == "shortcut":
            x = layers.Add()([x, history[-1 - s["back"]]])
        elif kind == "max_pool":
            x = layers.MaxPooling2D(s["size"], strides=s["strides"], padding=s["padding"])(x)
        elif kind == "average_pool":
            x = layers.AveragePooling2D(s["size"], strides=s["strides"], padding=s["padding"])(x)
        elif kind == "flatten":
            x = layers.Flatten()(x)
        elif kind == "global_average":
            x = layers.GlobalAveragePooling2D()(x)
        elif kind == "global_max":
            x = layers.GlobalMaxPooling2D()(x)
        elif kind == "dense":
            x = layers.Dense(s["units"], activation=s["activation"])(x)
        history.append(x)
    return library.Model(inputs, x)


def random_weights(model: Any, seed: int) -> list[np.ndarray]:
    """Weights large enough that every layer matters; variances stay positive."""
    rng = np.random.default_rng(2000 + seed)
    weights = []
    for w in model.get_weights():
        fan = max(int(np.prod(w.shape[:-1])), 1) if w.ndim > 1 else 4
        value = rng.standard_normal(w.shape) / np.sqrt(fan)
        weights.append((np.abs(value) + 0.5 if w.ndim == 1 else value).astype(np.float32))
    return weights


def assert_same_weights(ours: list[np.ndarray], theirs: list[np.ndarray], tolerance: float) -> None:
    """Largest difference of each array, relative to its largest weight."""
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        assert a.shape == b.shape
        worst = np.max(np.abs(a - b)) / np.max(np.abs(b))
        assert worst <= tolerance, f"weight {i} of shape {a.shape}: relative difference {worst:.2e}"
