"""VGG16 (Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", 2014)."""

from __future__ import annotations

from typing import Any

from cnnfast.applications import tables
from cnnfast.applications._network import construct
from cnnfast.applications._vgg import vgg
from cnnfast.applications.imagenet_utils import decode_predictions, preprocessing_of
from cnnfast.models import Model

__all__ = ["VGG16", "decode_predictions", "preprocess_input"]

_NETWORK = vgg(
    "VGG16",
    tables.VGG16,
    keras=("64373286793e3c8b2b4e3219cbf3544b", "6d6bbae143d832006294945121d1f1fc"),
    torchvision="vgg16-397923af.pth",
)

preprocess_input = preprocessing_of(_NETWORK)


def VGG16(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = "vgg16",
    variant: str | None = None,
) -> Model:
    """VGG16: five blocks of 3x3 convolutions, three dense layers. 138.4 million parameters, 14.7 million without top.

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
        >>> VGG16(weights=None, include_top=False, input_shape=(32, 32, 3)).output_shape
        (None, 1, 1, 512)
    """
    return construct(
        _NETWORK, include_top=include_top, weights=weights, input_tensor=input_tensor, input_shape=input_shape,
        pooling=pooling, classes=classes, classifier_activation=classifier_activation, name=name, variant=variant,
    )  # fmt: skip
