"""MobileNet (Howard et al., "MobileNets: efficient convolutional neural networks for mobile vision", 2017)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cnnfast import layers
from cnnfast.applications import tables
from cnnfast.applications._network import Network, Variant, construct, official_size
from cnnfast.applications.imagenet_utils import decode_predictions, preprocessing_of
from cnnfast.graph.values import Value
from cnnfast.models import Model

__all__ = ["MobileNet", "decode_predictions", "preprocess_input"]

_ADDRESS = "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet/mobilenet"
_SIZES = (128, 160, 192, 224)
_ALPHAS = {1.0: "1_0", 0.75: "7_5", 0.5: "5_0", 0.25: "2_5"}


def _body(x: Value, alpha: float, depth_multiplier: int) -> Value:
    x = layers.Conv2D(int(32 * alpha), 3, strides=2, padding="same", use_bias=False, name="conv1")(x)
    x = _norm_relu(x, "conv1")
    for i, (filters, strides) in enumerate(tables.MOBILENET, 1):
        x = _separable(x, i, int(filters * alpha), strides, depth_multiplier)
    return x


def _separable(x: Value, i: int, filters: int, strides: int, depth_multiplier: int) -> Value:
    """A 3x3 convolution of each channel, then a 1x1 convolution across channels."""
    if strides == 2:
        x = layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"conv_pad_{i}")(x)
    x = layers.DepthwiseConv2D(
        3, strides=strides, padding="same" if strides == 1 else "valid", depth_multiplier=depth_multiplier,
        use_bias=False, name=f"conv_dw_{i}",
    )(x)  # fmt: skip
    x = _norm_relu(x, f"conv_dw_{i}")
    x = layers.Conv2D(filters, 1, padding="same", use_bias=False, name=f"conv_pw_{i}")(x)
    return _norm_relu(x, f"conv_pw_{i}")


def _norm_relu(x: Value, name: str) -> Value:
    return layers.ReLU(6.0, name=f"{name}_relu")(layers.BatchNormalization(name=f"{name}_bn")(x))


def _top(x: Value, classes: int, activation: Any, dropout: float) -> Value:
    x = layers.GlobalAveragePooling2D(keepdims=True, name="global_average_pooling2d")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    x = layers.Conv2D(classes, 1, padding="same", name="conv_preds")(x)
    x = layers.Reshape((classes,), name="reshape_2")(x)
    return layers.Activation(activation or "linear", name="predictions")(x)


_NETWORK = Network(
    "MobileNet",
    {"keras": Variant("tf")},
    lambda x, variant: _body(x, 1.0, 1),
    lambda x, variant, classes, activation: _top(x, classes, activation, 1e-3),
    ("conv_preds",),
)

preprocess_input = preprocessing_of(_NETWORK)


def MobileNet(
    input_shape: Any = None,
    alpha: float = 1.0,
    depth_multiplier: int = 1,
    dropout: float = 1e-3,
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = None,
    variant: str | None = None,
) -> Model:
    """MobileNet: depthwise separable convolutions, 4.3 million parameters.

    Args:
        input_shape: (H, W, 3), at least 32x32. Default (224, 224, 3) with top, else (None, None, 3).
        alpha: width: factor of all filters. Default 1; official weights are for 0.25, 0.5, 0.75 and 1.
        depth_multiplier: channels that a depthwise convolution makes of each. Default 1.
        dropout: rate before the classifier. Default 0.001.
        include_top: with global pooling and the classifier.
        weights: "imagenet" (default): the official ones; a path; or None: random.
        input_tensor: a symbolic value to build on, instead of a new `Input`.
        pooling: without top: None (default): the features (N, P, Q, 1024 * alpha); "avg" or "max": (N, ...).
        classes: outputs of the top.
        classifier_activation: of the top; None for logits.
        name: of the model; made from alpha and size if None, as "mobilenet_1.00_224".
        variant: "keras", the only one.

    Returns:
        A `Model`; `model.preprocessing` says what its images must have gone through.

    Raises:
        ValueError: arguments that do not fit together, weights that do not fit the network.
        OSError: a weights file that cannot be read.
        DownloadError: the official weights are neither on this computer nor to be had.

    Example:
        >>> MobileNet(weights=None, alpha=0.25, include_top=False, input_shape=(128, 128, 3)).output_shape
        (None, 4, 4, 256)
    """
    rows = official_size("MobileNet", weights, input_shape, input_tensor, _SIZES)
    if weights == "imagenet" and (alpha not in _ALPHAS or depth_multiplier != 1):
        raise ValueError(
            f"MobileNet: weights='imagenet' are for alpha 0.25, 0.5, 0.75 and 1 and depth_multiplier 1, got "
            f"alpha={alpha} and depth_multiplier={depth_multiplier}"
        )
    stem = f"{_ADDRESS}_{_ALPHAS.get(alpha, '')}_{rows}_tf"
    network = replace(
        _NETWORK,
        variants={"keras": Variant("tf", (f"{stem}.h5", ""), (f"{stem}_no_top.h5", ""))},
        body=lambda x, variant: _body(x, alpha, depth_multiplier),
        top=lambda x, variant, classes, activation: _top(x, classes, activation, dropout),
    )
    return construct(
        network, include_top=include_top, weights=weights, input_tensor=input_tensor, input_shape=input_shape,
        pooling=pooling, classes=classes, classifier_activation=classifier_activation,
        name=name or f"mobilenet_{alpha:0.2f}_{rows}", variant=variant,
    )  # fmt: skip
