"""ResNet-18, 34, 50 and 101 (He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2015).

Three families of weights differ in more than their numbers:

                  strides of a bottleneck  convolutions  epsilon    images
    keras         in its first 1x1         with bias     1.001e-5   caffe
    keras-v0.2    in its first 1x1         with bias     1e-3       caffe    (Keras until 2018: res2a_branch2a, ...)
    torchvision   in its 3x3 ("v1.5")      without       1e-5       torch

Keras has no ResNet-18 and 34; their layers are named as Keras would.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnfast import layers
from cnnfast.applications import tables
from cnnfast.applications._network import Network, Variant, construct
from cnnfast.applications.imagenet_utils import decode_predictions, preprocessing_of
from cnnfast.graph.values import Value
from cnnfast.models import Model

__all__ = ["ResNet18", "ResNet34", "ResNet50", "ResNet101", "decode_predictions", "preprocess_input"]

Stages = Sequence[tuple[int, int]]

_NORM: dict[str, dict[str, Any]] = {
    "keras": {"epsilon": 1.001e-5},
    "keras-v0.2": {"epsilon": 1e-3},
    "torchvision": {"epsilon": 1e-5, "momentum": 0.9},
}


def _body(x: Value, variant: str, stages: Stages, bottleneck: bool) -> Value:
    x = layers.ZeroPadding2D(3, name="conv1_pad")(x)
    x = _conv(x, "conv1_conv", "conv1_bn", variant, 64, 7, strides=2)
    x = layers.Activation("relu", name="conv1_relu")(x)
    x = layers.ZeroPadding2D(1, name="pool1_pad")(x)  # zeros never win: all values are at least 0
    x = layers.MaxPooling2D(3, strides=2, name="pool1_pool")(x)
    block = _bottleneck if bottleneck else _basic
    for s, (filters, blocks) in enumerate(stages, 2):
        for b in range(1, blocks + 1):
            strides = 2 if b == 1 and s > 2 else 1
            project = b == 1 and (bottleneck or s > 2)
            x = block(x, variant, f"conv{s}_block{b}", filters, strides, project)
    return x


def _basic(x: Value, variant: str, name: str, filters: int, strides: int, project: bool) -> Value:
    """Two 3x3 convolutions (figure 5 left)."""
    shortcut = _conv(x, f"{name}_0_conv", f"{name}_0_bn", variant, filters, 1, strides=strides) if project else x
    x = _conv(x, f"{name}_1_conv", f"{name}_1_bn", variant, filters, 3, strides=strides, padding=1)
    x = layers.Activation("relu", name=f"{name}_1_relu")(x)
    x = _conv(x, f"{name}_2_conv", f"{name}_2_bn", variant, filters, 3, padding=1)
    x = layers.Add(name=f"{name}_add")([shortcut, x])
    return layers.Activation("relu", name=f"{name}_out")(x)


def _bottleneck(x: Value, variant: str, name: str, filters: int, strides: int, project: bool) -> Value:
    """1x1, 3x3, 1x1 (figure 5 right)."""
    first, second = (1, strides) if variant == "torchvision" else (strides, 1)
    shortcut = _conv(x, f"{name}_0_conv", f"{name}_0_bn", variant, 4 * filters, 1, strides=strides) if project else x
    x = _conv(x, f"{name}_1_conv", f"{name}_1_bn", variant, filters, 1, strides=first)
    x = layers.Activation("relu", name=f"{name}_1_relu")(x)
    x = _conv(x, f"{name}_2_conv", f"{name}_2_bn", variant, filters, 3, strides=second, padding=1)
    x = layers.Activation("relu", name=f"{name}_2_relu")(x)
    x = _conv(x, f"{name}_3_conv", f"{name}_3_bn", variant, 4 * filters, 1)
    x = layers.Add(name=f"{name}_add")([shortcut, x])
    return layers.Activation("relu", name=f"{name}_out")(x)


def _conv(x: Value, conv: str, norm: str, variant: str, filters: int, kernel: int, **geometry: Any) -> Value:
    x = layers.Conv2D(filters, kernel, use_bias=variant != "torchvision", name=conv, **geometry)(x)
    return layers.BatchNormalization(name=norm, **_NORM[variant])(x)


def _top(x: Value, variant: str, classes: int, activation: Any) -> Value:
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    return layers.Dense(classes, activation=activation, name="predictions")(x)


# Names in other files


def _torch_names(stages: Stages, bottleneck: bool) -> dict[str, str]:
    names = {"conv1_conv": "conv1", "conv1_bn": "bn1", "predictions": "fc"}
    for s, (_, blocks) in enumerate(stages, 1):
        for b in range(blocks):
            ours, theirs = f"conv{s + 1}_block{b + 1}", f"layer{s}.{b}"
            for i in range(1, 4 if bottleneck else 3):
                names |= {f"{ours}_{i}_conv": f"{theirs}.conv{i}", f"{ours}_{i}_bn": f"{theirs}.bn{i}"}
            if b == 0:
                names |= {f"{ours}_0_conv": f"{theirs}.downsample.0", f"{ours}_0_bn": f"{theirs}.downsample.1"}
    return names


def _old_keras_names(stages: Stages) -> dict[str, str]:
    """res2a_branch2a, bn2a_branch2a, ... for the blocks a, b, c, ... of stage 2."""
    names = {"conv1_conv": "conv1", "conv1_bn": "bn_conv1", "predictions": "fc1000"}
    for s, (_, blocks) in enumerate(stages, 2):
        for b in range(blocks):
            for i, branch in enumerate(("1", "2a", "2b", "2c")):
                ours, theirs = f"conv{s}_block{b + 1}_{i}", f"{s}{chr(ord('a') + b)}_branch{branch}"
                names |= {f"{ours}_conv": f"res{theirs}", f"{ours}_bn": f"bn{theirs}"}
    return names


def _recognize(arrays: Mapping[str, np.ndarray]) -> str | None:
    if "bn_conv1/gamma" in arrays or any(name.startswith("res2a_branch") for name in arrays):
        return "keras-v0.2"
    if "conv1_conv/kernel" in arrays:  # the same names in both, but only Keras' convolutions have biases
        return "keras" if "conv1_conv/bias" in arrays else "torchvision"
    return None


# The networks


def _torchvision(name: str) -> Variant:
    return Variant("torch", (f"https://download.pytorch.org/models/{name}", f"sha256:{name[-12:-4]}"))


def _keras(name: str, with_top: str, without_top: str) -> Variant:
    begin = f"https://storage.googleapis.com/tensorflow/keras-applications/resnet/{name}_weights_tf_dim_ordering_tf"
    return Variant(
        "caffe", (f"{begin}_kernels.h5", f"md5:{with_top}"), (f"{begin}_kernels_notop.h5", f"md5:{without_top}")
    )


def _network(title: str, stages: Stages, variants: Mapping[str, Variant], bottleneck: bool) -> Network:
    names = [_torch_names(stages, bottleneck)] + ([_old_keras_names(stages)] if "keras-v0.2" in variants else [])
    return Network(
        title, variants, lambda x, variant: _body(x, variant, stages, bottleneck), _top, ("predictions",), names,
        _recognize,
    )  # fmt: skip


_RESNET18 = _network(
    "ResNet18", tables.RESNET18, {"torchvision": _torchvision("resnet18-f37072fd.pth")}, bottleneck=False
)
_RESNET34 = _network(
    "ResNet34", tables.RESNET34, {"torchvision": _torchvision("resnet34-b627a593.pth")}, bottleneck=False
)
_RESNET50 = _network(
    "ResNet50",
    tables.RESNET50,
    {
        "keras": _keras("resnet50", "2cb95161c43110f7111970584f804107", "4d473c1dd8becc155b73f8504c6f6626"),
        "torchvision": _torchvision("resnet50-11ad3fa6.pth"),
        "keras-v0.2": Variant("caffe"),
    },
    bottleneck=True,
)
_RESNET101 = _network(
    "ResNet101",
    tables.RESNET101,
    {
        "keras": _keras("resnet101", "f1aeb4b969a6efcfb50fad2f0c20cfc5", "88cf7a10940856eca736dc7b7e228a21"),
        "torchvision": _torchvision("resnet101-cd907fc2.pth"),
    },
    bottleneck=True,
)

preprocess_input = preprocessing_of(_RESNET50)


def ResNet18(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = "resnet18",
    variant: str | None = None,
) -> Model:
    """ResNet-18: basic blocks, 11.7 million parameters.

    Args:
        include_top: with global pooling and the dense layer.
        weights: "imagenet" (default): the official ones; a path; or None: random.
        input_tensor: a symbolic value to build on, instead of a new `Input`.
        input_shape: (H, W, 3), at least 32x32. Default (224, 224, 3) with top, else (None, None, 3).
        pooling: without top: None (default): the features (N, P, Q, 512); "avg" or "max": (N, 512).
        classes: outputs of the top.
        classifier_activation: of the top; None for logits.
        name: of the model.
        variant: "torchvision", the only one.

    Returns:
        A `Model`; `model.preprocessing` says what its images must have gone through.

    Raises:
        ValueError: arguments that do not fit together, weights that do not fit the network.
        OSError: a weights file that cannot be read.
        DownloadError: the official weights are neither on this computer nor to be had.

    Example:
        >>> ResNet18(weights=None, include_top=False, pooling="avg").output_shape
        (None, 512)
    """
    return construct(
        _RESNET18, include_top=include_top, weights=weights, input_tensor=input_tensor, input_shape=input_shape,
        pooling=pooling, classes=classes, classifier_activation=classifier_activation, name=name, variant=variant,
    )  # fmt: skip


def ResNet34(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = "resnet34",
    variant: str | None = None,
) -> Model:
    """ResNet-34: basic blocks, 21.8 million parameters.

    Args:
        include_top: with global pooling and the dense layer.
        weights: "imagenet" (default): the official ones; a path; or None: random.
        input_tensor: a symbolic value to build on, instead of a new `Input`.
        input_shape: (H, W, 3), at least 32x32. Default (224, 224, 3) with top, else (None, None, 3).
        pooling: without top: None (default): the features (N, P, Q, 512); "avg" or "max": (N, 512).
        classes: outputs of the top.
        classifier_activation: of the top; None for logits.
        name: of the model.
        variant: "torchvision", the only one.

    Returns:
        A `Model`; `model.preprocessing` says what its images must have gone through.

    Raises:
        ValueError: arguments that do not fit together, weights that do not fit the network.
        OSError: a weights file that cannot be read.
        DownloadError: the official weights are neither on this computer nor to be had.

    Example:
        >>> ResNet34(weights=None, include_top=False, pooling="avg").output_shape
        (None, 512)
    """
    return construct(
        _RESNET34, include_top=include_top, weights=weights, input_tensor=input_tensor, input_shape=input_shape,
        pooling=pooling, classes=classes, classifier_activation=classifier_activation, name=name, variant=variant,
    )  # fmt: skip


def ResNet50(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = "resnet50",
    variant: str | None = None,
) -> Model:
    """ResNet-50: bottleneck blocks, 25.6 million parameters.

    Args:
        include_top: with global pooling and the dense layer.
        weights: "imagenet" (default): the official ones; a path; or None: random.
        input_tensor: a symbolic value to build on, instead of a new `Input`.
        input_shape: (H, W, 3), at least 32x32. Default (224, 224, 3) with top, else (None, None, 3).
        pooling: without top: None (default): the features (N, P, Q, 2048); "avg" or "max": (N, 2048).
        classes: outputs of the top.
        classifier_activation: of the top; None for logits.
        name: of the model.
        variant: "keras", "torchvision" or "keras-v0.2" (see the module); by default what the weights are, else
            "keras".

    Returns:
        A `Model`; `model.preprocessing` says what its images must have gone through.

    Raises:
        ValueError: arguments that do not fit together, weights that do not fit the network.
        OSError: a weights file that cannot be read.
        DownloadError: the official weights are neither on this computer nor to be had.

    Example:
        >>> ResNet50(weights=None, include_top=False, pooling="avg").output_shape
        (None, 2048)
    """
    return construct(
        _RESNET50, include_top=include_top, weights=weights, input_tensor=input_tensor, input_shape=input_shape,
        pooling=pooling, classes=classes, classifier_activation=classifier_activation, name=name, variant=variant,
    )  # fmt: skip


def ResNet101(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = "resnet101",
    variant: str | None = None,
) -> Model:
    """ResNet-101: bottleneck blocks, 44.7 million parameters.

    Args:
        include_top: with global pooling and the dense layer.
        weights: "imagenet" (default): the official ones; a path; or None: random.
        input_tensor: a symbolic value to build on, instead of a new `Input`.
        input_shape: (H, W, 3), at least 32x32. Default (224, 224, 3) with top, else (None, None, 3).
        pooling: without top: None (default): the features (N, P, Q, 2048); "avg" or "max": (N, 2048).
        classes: outputs of the top.
        classifier_activation: of the top; None for logits.
        name: of the model.
        variant: "keras" or "torchvision" (see the module); by default what the weights are, else "keras".

    Returns:
        A `Model`; `model.preprocessing` says what its images must have gone through.

    Raises:
        ValueError: arguments that do not fit together, weights that do not fit the network.
        OSError: a weights file that cannot be read.
        DownloadError: the official weights are neither on this computer nor to be had.

    Example:
        >>> ResNet101(weights=None, include_top=False, pooling="avg").output_shape
        (None, 2048)
    """
    return construct(
        _RESNET101, include_top=include_top, weights=weights, input_tensor=input_tensor, input_shape=input_shape,
        pooling=pooling, classes=classes, classifier_activation=classifier_activation, name=name, variant=variant,
    )  # fmt: skip
