"""Networks with pre-trained weights, with the names and signatures of Keras' applications.

`weights=` takes "imagenet" (the official weights), the path of a file that Keras, PyTorch or NumPy wrote, or None.
Each network has a module of its own with `preprocess_input` and `decode_predictions`; all are loaded when they are
first used.

Example:
    >>> from cnnfast import applications
    >>> base = applications.VGG16(weights=None, include_top=False, input_shape=(150, 150, 3))
    >>> base.get_layer("block5_conv1").output_shape
    (None, 9, 9, 512)
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnnfast.applications import densenet as densenet
    from cnnfast.applications import efficientnet_lite as efficientnet_lite
    from cnnfast.applications import imagenet_utils as imagenet_utils
    from cnnfast.applications import mobilenet as mobilenet
    from cnnfast.applications import mobilenet_v2 as mobilenet_v2
    from cnnfast.applications import preprocessing as preprocessing
    from cnnfast.applications import resnet as resnet
    from cnnfast.applications import resnet50 as resnet50
    from cnnfast.applications import squeezenet as squeezenet
    from cnnfast.applications import vgg16 as vgg16
    from cnnfast.applications import vgg19 as vgg19
    from cnnfast.applications.densenet import DenseNet121
    from cnnfast.applications.efficientnet_lite import EfficientNetLite0
    from cnnfast.applications.mobilenet import MobileNet
    from cnnfast.applications.mobilenet_v2 import MobileNetV2
    from cnnfast.applications.resnet import ResNet18, ResNet34, ResNet50, ResNet101
    from cnnfast.applications.squeezenet import SqueezeNet1_0, SqueezeNet1_1
    from cnnfast.applications.vgg16 import VGG16
    from cnnfast.applications.vgg19 import VGG19
    from cnnfast.models import Model

_MODULES = (
    "densenet", "efficientnet_lite", "imagenet_utils", "mobilenet", "mobilenet_v2", "preprocessing", "resnet",
    "resnet50", "squeezenet", "vgg16", "vgg19",
)  # fmt: skip
_NETWORKS = {
    "DenseNet121": "densenet",
    "EfficientNetLite0": "efficientnet_lite",
    "MobileNet": "mobilenet",
    "MobileNetV2": "mobilenet_v2",
    "ResNet18": "resnet",
    "ResNet34": "resnet",
    "ResNet50": "resnet",
    "ResNet101": "resnet",
    "SqueezeNet1_0": "squeezenet",
    "SqueezeNet1_1": "squeezenet",
    "VGG16": "vgg16",
    "VGG19": "vgg19",
}

__all__ = [
    "DenseNet121",
    "EfficientNetLite0",
    "MobileNet",
    "MobileNetV2",
    "ResNet18",
    "ResNet34",
    "ResNet50",
    "ResNet101",
    "SqueezeNet1_0",
    "SqueezeNet1_1",
    "VGG16",
    "VGG19",
    "get",
    *_MODULES,
]


def get(name: str) -> Callable[..., Model]:
    """The network of that name: as it is written here, in small letters, or with dashes (`mobilenet-v2`).

    Raises:
        ValueError: there is none; those that there are are named.

    Example:
        >>> get("vgg16").__name__
        'VGG16'
    """
    wanted = _letters(name)
    for network in _NETWORKS:
        if _letters(network) == wanted:
            return getattr(importlib.import_module(__name__), network)
    raise ValueError(f"applications: there is no network {name!r}; there are {', '.join(_NETWORKS)}")


def _letters(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _NETWORKS:
        value = getattr(importlib.import_module(f"{__name__}.{_NETWORKS[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
