"""MobileNetV2 (Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", 2018).

             padding of strides 2      epsilon, momentum    images
keras        bottom and right only     1e-3, 0.999          tf
torchvision  all sides                 1e-5, 0.9            torch
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from cnnfast import layers
from cnnfast.applications import tables
from cnnfast.applications._network import Network, Variant, construct, correct_pad, official_size
from cnnfast.applications.imagenet_utils import decode_predictions, preprocessing_of
from cnnfast.applications.tables import make_divisible
from cnnfast.graph.values import Value
from cnnfast.models import Model

__all__ = ["MobileNetV2", "decode_predictions", "preprocess_input"]

_ADDRESS = "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/mobilenet_v2"
_SIZES = (96, 128, 160, 192, 224)
_ALPHAS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
_NORM: dict[str, dict[str, Any]] = {
    "keras": {"epsilon": 1e-3, "momentum": 0.999},
    "torchvision": {"epsilon": 1e-5, "momentum": 0.9},
}
_TORCHVISION = Variant("torch", ("https://download.pytorch.org/models/mobilenet_v2-7ebf99e0.pth", "sha256:7ebf99e0"))


def _blocks() -> Iterator[tuple[str, int, int, int]]:
    """(name, expansion, filters, strides) of each block."""
    number = 0
    for expansion, filters, repeats, first_strides in tables.MOBILENET_V2:
        for i in range(repeats):
            yield f"block_{number}" if number else "expanded_conv", expansion, filters, 1 if i else first_strides
            number += 1


def _body(x: Value, variant: str, alpha: float) -> Value:
    padding = "same" if variant == "keras" else 1
    x = layers.Conv2D(
        make_divisible(32 * alpha), 3, strides=2, padding=padding, use_bias=False, name="Conv1"
    )(x)  # fmt: skip
    x = _norm_relu(x, "bn_Conv1", "Conv1_relu", variant)
    for name, expansion, filters, strides in _blocks():
        x = _inverted_residual(x, variant, name, expansion, make_divisible(int(filters * alpha)), strides)
    x = layers.Conv2D(make_divisible(1280 * max(alpha, 1.0)), 1, use_bias=False, name="Conv_1")(x)
    return _norm_relu(x, "Conv_1_bn", "out_relu", variant)


def _inverted_residual(x: Value, variant: str, name: str, expansion: int, filters: int, strides: int) -> Value:
    """Widens with a 1x1 convolution, filters channel by channel, narrows with a 1x1 convolution (figure 4d)."""
    shortcut, channels = x, x.shape[3]
    assert channels is not None
    if expansion > 1:
        x = layers.Conv2D(expansion * channels, 1, padding="same", use_bias=False, name=f"{name}_expand")(x)
        x = _norm_relu(x, f"{name}_expand_BN", f"{name}_expand_relu", variant)
    if strides == 2:
        padding = correct_pad(x, 3) if variant == "keras" else 1
        x = layers.ZeroPadding2D(padding, name=f"{name}_pad")(x)
    x = layers.DepthwiseConv2D(
        3, strides=strides, padding="same" if strides == 1 else "valid", use_bias=False, name=f"{name}_depthwise"
    )(x)
    x = _norm_relu(x, f"{name}_depthwise_BN", f"{name}_depthwise_relu", variant)
    x = layers.Conv2D(filters, 1, padding="same", use_bias=False, name=f"{name}_project")(x)
    x = layers.BatchNormalization(name=f"{name}_project_BN", **_NORM[variant])(x)
    if strides == 1 and channels == filters:
        x = layers.Add(name=f"{name}_add")([shortcut, x])
    return x


def _norm_relu(x: Value, norm: str, relu: str, variant: str) -> Value:
    return layers.ReLU(6.0, name=relu)(layers.BatchNormalization(name=norm, **_NORM[variant])(x))


def _top(x: Value, variant: str, classes: int, activation: Any) -> Value:
    x = layers.GlobalAveragePooling2D(name="global_average_pooling2d")(x)
    if variant == "torchvision":
        x = layers.Dropout(0.2, name="dropout")(x)
    return layers.Dense(classes, activation=activation, name="predictions")(x)


def _torch_names() -> dict[str, str]:
    names = {"Conv1": "features.0.0", "bn_Conv1": "features.0.1", "predictions": "classifier.1"}
    number = 1
    for name, expansion, _, _ in _blocks():
        parts = ["0.0", "0.1", "1.0", "1.1", "2", "3"] if expansion > 1 else ["0.0", "0.1", "1", "2"]
        layer_names = ["expand", "expand_BN", "depthwise", "depthwise_BN", "project", "project_BN"][-len(parts) :]
        for ours, theirs in zip(layer_names, parts, strict=True):
            names[f"{name}_{ours}"] = f"features.{number}.conv.{theirs}"
        number += 1
    return names | {"Conv_1": f"features.{number}.0", "Conv_1_bn": f"features.{number}.1"}


_NETWORK = Network(
    "MobileNetV2",
    {"keras": Variant("tf"), "torchvision": _TORCHVISION},
    lambda x, variant: _body(x, variant, 1.0),
    _top,
    ("predictions",),
    (_torch_names(),),
)

preprocess_input = preprocessing_of(_NETWORK)


def MobileNetV2(
    input_shape: Any = None,
    alpha: float = 1.0,
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = None,
    variant: str | None = None,
) -> Model:
    """MobileNetV2: inverted residual blocks, 3.5 million parameters.

    Args:
        input_shape: (H, W, 3), at least 32x32. Default (224, 224, 3) with top, else (None, None, 3).
        alpha: width: factor of all filters. Default 1; Keras' weights are for 0.35, 0.5, 0.75, 1, 1.3 and 1.4,
            torchvision's for 1.
        include_top: with global pooling and the dense layer.
        weights: "imagenet" (default): the official ones; a path; or None: random.
        input_tensor: a symbolic value to build on, instead of a new `Input`.
        pooling: without top: None (default): the features (N, P, Q, 1280); "avg" or "max": (N, 1280).
        classes: outputs of the top.
        classifier_activation: of the top; None for logits.
        name: of the model; made from alpha and size if None, as "mobilenetv2_1.00_224".
        variant: "keras" or "torchvision" (see the module); by default what the weights are, else "keras".

    Returns:
        A `Model`; `model.preprocessing` says what its images must have gone through.

    Raises:
        ValueError: arguments that do not fit together, weights that do not fit the network.
        OSError: a weights file that cannot be read.
        DownloadError: the official weights are neither on this computer nor to be had.

    Example:
        >>> MobileNetV2(weights=None, alpha=0.35, include_top=False, input_shape=(96, 96, 3)).output_shape
        (None, 3, 3, 1280)
    """
    rows = official_size(
        "MobileNetV2", weights if variant != "torchvision" else None, input_shape, input_tensor, _SIZES
    )
    if weights == "imagenet" and alpha not in (_ALPHAS if variant != "torchvision" else (1.0,)):
        raise ValueError(
            f"MobileNetV2: weights='imagenet' are for alpha 0.35, 0.5, 0.75, 1, 1.3 and 1.4 (torchvision: 1), "
            f"got alpha={alpha}"
        )
    stem = f"{_ADDRESS}_weights_tf_dim_ordering_tf_kernels_{float(alpha)}_{rows}"
    keras = Variant("tf", (f"{stem}.h5", ""), (f"{stem}_no_top.h5", ""))
    network = replace(
        _NETWORK,
        variants={"keras": keras, "torchvision": _TORCHVISION},
        body=lambda x, variant: _body(x, variant, alpha),
    )
    return construct(
        network, include_top=include_top, weights=weights, input_tensor=input_tensor, input_shape=input_shape,
        pooling=pooling, classes=classes, classifier_activation=classifier_activation,
        name=name or f"mobilenetv2_{alpha:0.2f}_{rows}", variant=variant,
    )  # fmt: skip
