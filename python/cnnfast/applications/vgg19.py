"""VGG19 (Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", 2014)."""

from __future__ import annotations

from typing import Any

from cnnfast.applications import tables
from cnnfast.applications._network import construct
from cnnfast.applications._vgg import vgg
from cnnfast.applications.imagenet_utils import decode_predictions, preprocessing_of
from cnnfast.models import Model

__all__ = ["VGG19", "decode_predictions", "preprocess_input"]

_NETWORK = vgg(
    "VGG19",
    tables.VGG19,
    keras=("cbe5617147190e668d6c5d5026f83318", "253f8cb515780f3b799900260a226db6"),
    torchvision="vgg19-dcbb9e9d.pth",
)

preprocess_input = preprocessing_of(_NETWORK)


def VGG19(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = "vgg19",
    variant: str | None = None,
) -> Model:
    """VGG19: five blocks of 3x3 convolutions, three dense layers. 143.7 million parameters, 20.0 million without top.

    Args:
        include_top: with the dense layers; the images must then be 224x224 for pre-trained weights.
        weights: "imagenet" (default): the official ones; a path; or None: random.
        input_tensor: a symbolic value to build on, instead of a new `Input`.
        input_shape: (H, W, 3), at least 32x32. Default (224, 224, 3) with top, else (None, None, 3).
        pooling: without top: None (default): the features (N, P, Q, 512); "avg" or "max": (N, 512).
        classes: outputs of the top.
        classifier_activation: of the top; None for logits.
        name: of the model.
        variant: "keras" (BGR images, "caffe") or "torchvision" ("torch"); by default what the weights are, else
            "keras".

    Returns:
        A `Model`; `model.preprocessing` says what its images must have gone through.

    Raises:
        ValueError: arguments that do not fit together, weights that do not fit the network.
        OSError: a weights file that cannot be read.
        DownloadError: the official weights are neither on this computer nor to be had.

    Example:
        >>> VGG19(weights=None, include_top=False, input_shape=(32, 32, 3)).output_shape
        (None, 1, 1, 512)
    """
    return construct(
        _NETWORK, include_top=include_top, weights=weights, input_tensor=input_tensor, input_shape=input_shape,
        pooling=pooling, classes=classes, classifier_activation=classifier_activation, name=name, variant=variant,
    )  # fmt: skip
