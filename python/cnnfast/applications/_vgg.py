"""What VGG16 and VGG19 share (Simonyan and Zisserman, "Very deep convolutional networks", 2014)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnfast import layers
from cnnfast.applications._network import Network, Variant
from cnnfast.graph.values import Value

Blocks = Sequence[tuple[int, int]]

# The beginning of block1_conv1/kernel[0, 0] in the official weights, which have the same names in both variants.
# Fine-tuned models mostly have it too: their first blocks were frozen.
_BEGINNINGS = {
    "keras": ((0.42947057, 0.11727387, 0.03401296), (0.55037946, 0.02087744, 0.09883115)),
    "torchvision": ((-0.5537, 0.2325, 0.1771), (0.1755, -0.1407, 0.3093)),
}


def vgg(title: str, blocks: Blocks, keras: tuple[str, str], torchvision: str) -> Network:
    """The page of a VGG network.

    Args:
        title: as Keras calls it.
        blocks: filters and convolutions of each.
        keras: MD5 of Keras' files with and without top.
        torchvision: name of the file.
    """
    lower = title.lower()
    address = f"https://storage.googleapis.com/tensorflow/keras-applications/{lower}/{lower}_weights_tf_dim_ordering_tf"
    torch = f"https://download.pytorch.org/models/{torchvision}", f"sha256:{torchvision[-12:-4]}"
    return Network(
        title,
        {
            "keras": Variant(
                "caffe",
                (f"{address}_kernels.h5", f"md5:{keras[0]}"),
                (f"{address}_kernels_notop.h5", f"md5:{keras[1]}"),
            ),
            "torchvision": Variant("torch", torch),
        },
        lambda x, variant: _body(x, blocks),
        _top,
        ("fc1", "fc2", "predictions"),
        (_torch_names(blocks),),
        _recognize,
    )


def _body(x: Value, blocks: Blocks) -> Value:
    for b, (filters, convolutions) in enumerate(blocks, 1):
        for i in range(1, convolutions + 1):
            x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"block{b}_conv{i}")(x)
        x = layers.MaxPooling2D(2, strides=2, name=f"block{b}_pool")(x)
    return x


def _top(x: Value, variant: str, classes: int, activation: Any) -> Value:
    x = layers.Flatten(name="flatten")(x)
    for name in ("fc1", "fc2"):
        x = layers.Dense(4096, activation="relu", name=name)(x)
        if variant == "torchvision":
            x = layers.Dropout(0.5, name=f"{name}_dropout")(x)
    return layers.Dense(classes, activation=activation, name="predictions")(x)


def _torch_names(blocks: Blocks) -> dict[str, str]:
    """Torchvision numbers everything, ReLUs and poolings too."""
    names, number = {}, 0
    for b, (_, convolutions) in enumerate(blocks, 1):
        for i in range(1, convolutions + 1):
            names[f"block{b}_conv{i}"] = f"features.{number}"
            number += 2
        number += 1
    return names | {"fc1": "classifier.0", "fc2": "classifier.3", "predictions": "classifier.6"}


def _recognize(arrays: Mapping[str, np.ndarray]) -> str | None:
    kernel = arrays.get("block1_conv1/kernel")
    if kernel is None or kernel.shape != (3, 3, 3, 64):
        return None
    for variant, beginning in _BEGINNINGS.items():
        if np.allclose(kernel[0, 0, : len(beginning), : len(beginning[0])], beginning, atol=1e-3):  # float16 has 5e-4
            return variant
    return None
