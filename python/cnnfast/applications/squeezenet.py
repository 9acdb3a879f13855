"""SqueezeNet 1.0 and 1.1 (Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters", 2016).

Keras has no SqueezeNet; layers are named as in the authors' release for Caffe and in keras-squeezenet.

                 network   poolings' sizes   classifier    images
    torchvision  1.0, 1.1  rounded up        1x1           torch, 224x224
    caffe        1.0       rounded up        1x1 over zeros at the border (pad 1)    squeezenet, 227x227
    keras        1.1       rounded down      1x1           caffe, 227x227

Sources: https://github.com/forresti/SqueezeNet (SqueezeNet_v1.0/deploy.prototxt),
https://github.com/rcmalli/keras-squeezenet, https://github.com/pytorch/vision (models/squeezenet.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from cnnfast import layers
from cnnfast.applications import tables
from cnnfast.applications._network import Network, Variant, construct
from cnnfast.applications.imagenet_utils import decode_predictions, preprocessing_of
from cnnfast.graph.values import Value
from cnnfast.models import Model

__all__ = ["SqueezeNet1_0", "SqueezeNet1_1", "decode_predictions", "preprocess_input"]


def _body_1_0(x: Value, variant: str) -> Value:
    return _body(x, variant, filters=96, kernel=7, pooled=(1, 4, 8))


def _body_1_1(x: Value, variant: str) -> Value:
    return _body(x, variant, filters=64, kernel=3, pooled=(1, 3, 5))


def _body(x: Value, variant: str, filters: int, kernel: int, pooled: tuple[int, ...]) -> Value:
    """conv1, then fire2 to fire9; a pooling behind each that is in `pooled`."""
    x = layers.Conv2D(filters, kernel, strides=2, name="conv1")(x)
    x = layers.Activation("relu", name="relu_conv1")(x)
    x = _pool(x, "pool1", variant)
    for i, (squeeze, expand) in enumerate(tables.SQUEEZENET, 2):
        x = _fire(x, f"fire{i}", squeeze, expand)
        if i in pooled:
            x = _pool(x, f"pool{i}", variant)
    return layers.Dropout(0.5, name="drop9")(x)


def _pool(x: Value, name: str, variant: str) -> Value:
    # A window that begins in the image but ends outside counts where sizes are rounded up. Rounding down with one
    # more row and column at the end is the same: (H + 1 - 3) // 2 = ceil((H - 3) / 2), and padding never wins.
    padding = "valid" if variant == "keras" else ((0, 1), (0, 1))
    return layers.MaxPooling2D(3, strides=2, padding=padding, name=name)(x)


def _fire(x: Value, name: str, squeeze: int, expand: int) -> Value:
    """Few channels, then many: half of them from 1x1, half from 3x3 windows (figure 1)."""
    x = layers.Conv2D(squeeze, 1, name=f"{name}/squeeze1x1")(x)
    x = layers.Activation("relu", name=f"{name}/relu_squeeze1x1")(x)
    left = layers.Conv2D(expand, 1, name=f"{name}/expand1x1")(x)
    left = layers.Activation("relu", name=f"{name}/relu_expand1x1")(left)
    right = layers.Conv2D(expand, 3, padding="same", name=f"{name}/expand3x3")(x)
    right = layers.Activation("relu", name=f"{name}/relu_expand3x3")(right)
    return layers.Concatenate(name=f"{name}/concat")([left, right])


def _top(x: Value, variant: str, classes: int, activation: Any) -> Value:
    if variant == "caffe":
        x = layers.ZeroPadding2D(1, name="conv10_pad")(x)
    x = layers.Conv2D(classes, 1, name="conv10")(x)
    x = layers.Activation("relu", name="relu_conv10")(x)
    x = layers.GlobalAveragePooling2D(name="pool10")(x)
    return layers.Activation(activation or "linear", name="loss")(x)


def _torch_names(places: tuple[int, ...]) -> dict[str, str]:
    """`places`: the numbers of fire2 to fire9 among torchvision's features."""
    names = {"conv1": "features.0", "conv10": "classifier.1"}
    for i, place in enumerate(places, 2):
        for ours, theirs in (("squeeze1x1", "squeeze"), ("expand1x1", "expand1x1"), ("expand3x3", "expand3x3")):
            names[f"fire{i}/{ours}"] = f"features.{place}.{theirs}"
    return names


def _recognize_1_0(arrays: Mapping[str, np.ndarray]) -> str | None:
    return "caffe" if "fire2/squeeze1x1/weight" in arrays else None


def _torchvision(name: str) -> Variant:
    return Variant("torch", (f"https://download.pytorch.org/models/{name}", f"sha256:{name[-12:-4]}"))


_KERAS = "https://github.com/rcmalli/keras-squeezenet/releases/download/v1.0/squeezenet_weights_tf_dim_ordering_tf"
_SQUEEZENET1_0 = Network(
    "SqueezeNet1_0",
    {"torchvision": _torchvision("squeezenet1_0-b66bff10.pth"), "caffe": Variant("squeezenet", size=227)},
    _body_1_0,
    _top,
    ("conv10",),
    (_torch_names((3, 4, 5, 7, 8, 9, 10, 12)),),
    _recognize_1_0,
)
_SQUEEZENET1_1 = Network(
    "SqueezeNet1_1",
    {
        "torchvision": _torchvision("squeezenet1_1-b8a52dc0.pth"),
        "keras": Variant(
            "caffe",
            (f"{_KERAS}_kernels.h5", ""),
            (f"{_KERAS}_kernels_notop.h5", "md5:80b66c92d79d4310e07fb60a297bf0d1"),
            size=227,
        ),
    },
    _body_1_1,
    _top,
    ("conv10",),
    (_torch_names((3, 4, 6, 7, 9, 10, 11, 12)),),
)

preprocess_input = preprocessing_of(
    replace(_SQUEEZENET1_0, title="SqueezeNet", variants={**_SQUEEZENET1_0.variants, **_SQUEEZENET1_1.variants})
)


def SqueezeNet1_0(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = "squeezenet1_0",
    variant: str | None = None,
) -> Model:
    """SqueezeNet 1.0: fire modules, 1.25 million parameters.

    Args:
        include_top: with the last convolution and global pooling.
        weights: "imagenet" (default): the official ones; a path; or None: random.
        input_tensor: a symbolic value to build on, instead of a new `Input`.
        input_shape: (H, W, 3), at least 32x32. Default with top (224, 224, 3), or (227, 227, 3) for weights that
            are not torchvision's; else (None, None, 3).
        pooling: without top: None (default): the features (N, P, Q, 512); "avg" or "max": (N, 512).
        classes: outputs of the top.
        classifier_activation: of the top; None for logits.
        name: of the model.
        variant: "torchvision" or "caffe" (see the module); by default what the weights are, else "torchvision".

    Returns:
        A `Model`; `model.preprocessing` says what its images must have gone through.

    Raises:
        ValueError: arguments that do not fit together, weights that do not fit the network.
        OSError: a weights file that cannot be read.
        DownloadError: the official weights are neither on this computer nor to be had.

    Example:
        >>> SqueezeNet1_0(weights=None, include_top=False, input_shape=(64, 64, 3)).output_shape
        (None, 3, 3, 512)
    """
    return construct(
        _SQUEEZENET1_0, include_top=include_top, weights=weights, input_tensor=input_tensor, input_shape=input_shape,
        pooling=pooling, classes=classes, classifier_activation=classifier_activation, name=name, variant=variant,
    )  # fmt: skip


def SqueezeNet1_1(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = "squeezenet1_1",
    variant: str | None = None,
) -> Model:
    """SqueezeNet 1.1: as 1.0 with 2.4 times less work, 1.24 million parameters.

    Args:
        include_top: with the last convolution and global pooling.
        weights: "imagenet" (default): the official ones; a path; or None: random.
        input_tensor: a symbolic value to build on, instead of a new `Input`.
        input_shape: (H, W, 3), at least 32x32. Default with top (224, 224, 3), or (227, 227, 3) for weights that
            are not torchvision's; else (None, None, 3).
        pooling: without top: None (default): the features (N, P, Q, 512); "avg" or "max": (N, 512).
        classes: outputs of the top.
        classifier_activation: of the top; None for logits.
        name: of the model.
        variant: "torchvision" or "keras" (see the module); by default what the weights are, else "torchvision".

    Returns:
        A `Model`; `model.preprocessing` says what its images must have gone through.

    Raises:
        ValueError: arguments that do not fit together, weights that do not fit the network.
        OSError: a weights file that cannot be read.
        DownloadError: the official weights are neither on this computer nor to be had.

    Example:
        >>> SqueezeNet1_1(weights=None, include_top=False, input_shape=(64, 64, 3)).output_shape
        (None, 3, 3, 512)
    """
    return construct(
        _SQUEEZENET1_1, include_top=include_top, weights=weights, input_tensor=input_tensor, input_shape=input_shape,
        pooling=pooling, classes=classes, classifier_activation=classifier_activation, name=name, variant=variant,
    )  # fmt: skip
