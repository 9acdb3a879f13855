"""DenseNet-121 (Huang, Liu, van der Maaten and Weinberger, "Densely connected convolutional networks", 2017)."""

from __future__ import annotations

from typing import Any

from cnnfast import layers
from cnnfast.applications import tables
from cnnfast.applications._network import Network, Variant, construct
from cnnfast.applications.imagenet_utils import decode_predictions, preprocessing_of
from cnnfast.graph.values import Value
from cnnfast.models import Model

__all__ = ["DenseNet121", "decode_predictions", "preprocess_input"]

_GROWTH = 32
_NORM: dict[str, dict[str, Any]] = {"keras": {"epsilon": 1.001e-5}, "torchvision": {"epsilon": 1e-5, "momentum": 0.9}}


def _body(x: Value, variant: str) -> Value:
    x = layers.ZeroPadding2D(3, name="conv1_pad")(x)
    x = layers.Conv2D(64, 7, strides=2, use_bias=False, name="conv1_conv")(x)
    x = _norm_relu(x, "conv1_bn", "conv1_relu", variant)
    x = layers.ZeroPadding2D(1, name="pool1_pad")(x)  # zeros never win: all values are at least 0
    x = layers.MaxPooling2D(3, strides=2, name="pool1")(x)
    last = len(tables.DENSENET121) + 1
    for s, count in enumerate(tables.DENSENET121, 2):
        for b in range(1, count + 1):
            x = _dense_layer(x, f"conv{s}_block{b}", variant)
        if s < last:
            x = _transition(x, f"pool{s}", variant)
    return _norm_relu(x, "bn", "relu", variant)


def _dense_layer(x: Value, name: str, variant: str) -> Value:
    """Looks at all that came before and adds 32 channels to it."""
    y = _norm_relu(x, f"{name}_0_bn", f"{name}_0_relu", variant)
    y = layers.Conv2D(4 * _GROWTH, 1, use_bias=False, name=f"{name}_1_conv")(y)
    y = _norm_relu(y, f"{name}_1_bn", f"{name}_1_relu", variant)
    y = layers.Conv2D(_GROWTH, 3, padding="same", use_bias=False, name=f"{name}_2_conv")(y)
    return layers.Concatenate(name=f"{name}_concat")([x, y])


def _transition(x: Value, name: str, variant: str) -> Value:
    """Halves the channels and the image."""
    x = _norm_relu(x, f"{name}_bn", f"{name}_relu", variant)
    channels = x.shape[3]
    assert channels is not None
    x = layers.Conv2D(channels // 2, 1, use_bias=False, name=f"{name}_conv")(x)
    return layers.AveragePooling2D(2, strides=2, name=f"{name}_pool")(x)


def _norm_relu(x: Value, norm: str, relu: str, variant: str) -> Value:
    return layers.Activation("relu", name=relu)(layers.BatchNormalization(name=norm, **_NORM[variant])(x))


def _top(x: Value, variant: str, classes: int, activation: Any) -> Value:
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    return layers.Dense(classes, activation=activation, name="predictions")(x)


def _torch_names(joint: str) -> dict[str, str]:
    """`joint` stands between "norm" and "1": nothing today, a dot in the official files of 2017."""
    names = {"conv1_conv": "features.conv0", "conv1_bn": "features.norm0"}
    names |= {"bn": "features.norm5", "predictions": "classifier"}
    for s, count in enumerate(tables.DENSENET121, 1):
        for b in range(1, count + 1):
            ours, theirs = f"conv{s + 1}_block{b}", f"features.denseblock{s}.denselayer{b}"
            for i in (1, 2):
                names[f"{ours}_{i - 1}_bn"] = f"{theirs}.norm{joint}{i}"
                names[f"{ours}_{i}_conv"] = f"{theirs}.conv{joint}{i}"
        if s < len(tables.DENSENET121):
            names[f"pool{s + 1}_bn"] = f"features.transition{s}.norm"
            names[f"pool{s + 1}_conv"] = f"features.transition{s}.conv"
    return names


_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications/densenet/densenet121_weights_tf_dim_ordering_tf"
_NETWORK = Network(
    "DenseNet121",
    {
        "keras": Variant(
            "torch",
            (f"{_KERAS}_kernels.h5", "md5:9d60b8095a5708f2dcce2bca79d332c7"),
            (f"{_KERAS}_kernels_notop.h5", "md5:30ee3e1110167f948a6b9946edeeb738"),
        ),
        "torchvision": Variant(
            "torch", ("https://download.pytorch.org/models/densenet121-a639ec97.pth", "sha256:a639ec97")
        ),
    },
    _body,
    _top,
    ("predictions",),
    (_torch_names(""), _torch_names(".")),
    # The variants take the same images, and their epsilons differ by a thousandth of 1e-5: either will do for files
    # that do not say whose they are.
    lambda arrays: "keras" if "conv1_conv/kernel" in arrays else None,
)

preprocess_input = preprocessing_of(_NETWORK)


def DenseNet121(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = "densenet121",
    variant: str | None = None,
) -> Model:
    """DenseNet-121: 58 dense layers in four blocks, 8.1 million parameters.

    Args:
        include_top: with global pooling and the dense layer.
        weights: "imagenet" (default): the official ones; a path; or None: random.
        input_tensor: a symbolic value to build on, instead of a new `Input`.
        input_shape: (H, W, 3), at least 32x32. Default (224, 224, 3) with top, else (None, None, 3).
        pooling: without top: None (default): the features (N, P, Q, 1024); "avg" or "max": (N, 1024).
        classes: outputs of the top.
        classifier_activation: of the top; None for logits.
        name: of the model.
        variant: "keras" or "torchvision", whose epsilons differ; by default what the weights are, else "keras".

    Returns:
        A `Model`; `model.preprocessing` says what its images must have gone through.

    Raises:
        ValueError: arguments that do not fit together, weights that do not fit the network.
        OSError: a weights file that cannot be read.
        DownloadError: the official weights are neither on this computer nor to be had.

    Example:
        >>> DenseNet121(weights=None, include_top=False, pooling="avg").output_shape
        (None, 1024)
    """
    return construct(
        _NETWORK, include_top=include_top, weights=weights, input_tensor=input_tensor, input_shape=input_shape,
        pooling=pooling, classes=classes, classifier_activation=classifier_activation, name=name, variant=variant,
    )  # fmt: skip
