"""The networks of the suite as lists of layers. The numbers of those with a page in `applications` are shared."""

from __future__ import annotations

from typing import Any

from cnnfast.applications import tables
from cnnfast.bench.spec import Layer, Net

Layers = tuple[Layer, ...]


def mnist_convnet() -> Layers:
    """28x28x1: three convolutions, two poolings, two dense layers (93,322 weights)."""
    net = Net()
    for filters in (32, 64):
        net.add("conv2d", filters=filters, kernel=3, activation="relu")
        net.add("max_pool", kernel=2, strides=2)
    net.add("conv2d", filters=64, kernel=3, activation="relu")
    net.add("flatten")
    net.add("dense", units=64, activation="relu")
    net.add("dense", units=10, activation="softmax")
    return net.built()


def cats_dogs_convnet() -> Layers:
    """150x150x3: four convolutions with pooling, dropout, two dense layers (3.45 million weights)."""
    net = Net()
    for filters in (32, 64, 128, 128):
        net.add("conv2d", filters=filters, kernel=3, activation="relu")
        net.add("max_pool", kernel=2, strides=2)
    net.add("flatten")
    net.add("dropout", rate=0.5)
    net.add("dense", units=512, activation="relu")
    net.add("dense", units=1, activation="sigmoid")
    return net.built()


def vgg16_base(net: Net, trainable_from: int = 1) -> Net:
    """The convolutions of VGG16 (Simonyan and Zisserman, 2014, configuration D), the first blocks frozen."""
    for block, (filters, repeats) in enumerate(tables.VGG16, start=1):
        for _ in range(repeats):
            net.add(
                "conv2d", filters=filters, kernel=3, padding="same", activation="relu",
                trainable=block >= trainable_from,
            )  # fmt: skip
        net.add("max_pool", kernel=2, strides=2)
    return net


def vgg16_features() -> Layers:
    return vgg16_base(Net()).built()


def vgg16_fine_tune() -> Layers:
    """VGG16's base with block 5 trainable under a new dense head, as in transfer learning."""
    net = vgg16_base(Net(), trainable_from=5)
    net.add("flatten")
    net.add("dense", units=256, activation="relu")
    net.add("dropout", rate=0.5)
    net.add("dense", units=1, activation="sigmoid")
    return net.built()


def _conv_norm(net: Net, *inputs: str, relu: str = "relu", kind: str = "conv2d", **options: Any) -> str:
    net.add(kind, *inputs, bias=False, **options)
    name = net.add("batch_norm")
    return net.add(relu) if relu else name


def _basic_block(net: Net, x: str, filters: int, strides: int, project: bool) -> str:
    """ResNet's block of two 3x3 convolutions (He et al., 2015, figure 5 left)."""
    padding: Any = "same" if strides == 1 else 1
    _conv_norm(net, x, filters=filters, kernel=3, strides=strides, padding=padding)
    y = _conv_norm(net, filters=filters, kernel=3, padding="same", relu="")
    shortcut = _conv_norm(net, x, filters=filters, kernel=1, strides=strides, relu="") if project else x
    net.add("add", y, shortcut)
    return net.add("relu")


def _bottleneck(net: Net, x: str, filters: int, strides: int, project: bool) -> str:
    """ResNet's block of 1x1, 3x3, 1x1 (figure 5 right), the stride in the 3x3 as in torchvision's v1.5."""
    padding: Any = "same" if strides == 1 else 1
    _conv_norm(net, x, filters=filters, kernel=1)
    _conv_norm(net, filters=filters, kernel=3, strides=strides, padding=padding)
    y = _conv_norm(net, filters=4 * filters, kernel=1, relu="")
    shortcut = _conv_norm(net, x, filters=4 * filters, kernel=1, strides=strides, relu="") if project else x
    net.add("add", y, shortcut)
    return net.add("relu")


def _classifier(net: Net, classes: int) -> Layers:
    net.add("global_average_pool")
    net.add("dense", units=classes, activation="softmax")
    return net.built()


def resnet_small() -> Layers:
    """ResNet-8 for 32x32x3: a stem, basic blocks of 16, 32 and 64 filters (He et al., section 4.2, n = 1)."""
    net = Net()
    x = _conv_norm(net, filters=16, kernel=3, padding="same")
    for filters in (16, 32, 64):
        x = _basic_block(net, x, filters, strides=1 if filters == 16 else 2, project=filters != 16)
    return _classifier(net, 10)


def resnet18_cifar() -> Layers:
    """ResNet-18 with a 3x3 stem and no first pooling, for 32x32x3."""
    net = Net()
    x = _conv_norm(net, filters=64, kernel=3, padding="same")
    for stage, (filters, blocks) in enumerate(tables.RESNET18):
        for block in range(blocks):
            first = block == 0 and stage > 0
            x = _basic_block(net, x, filters, strides=2 if first else 1, project=first)
    return _classifier(net, 10)


def resnet50() -> Layers:
    """ResNet-50 for 224x224x3."""
    net = Net()
    _conv_norm(net, filters=64, kernel=7, strides=2, padding=3)
    x = net.add("max_pool", kernel=3, strides=2, padding=1)
    for stage, (filters, blocks) in enumerate(tables.RESNET50):
        for block in range(blocks):
            x = _bottleneck(net, x, filters, strides=2 if block == 0 and stage > 0 else 1, project=block == 0)
    return _classifier(net, 1000)


# GoogLeNet's inception modules: filters of the 1x1, of the 1x1 before the 3x3 and the 3x3, of the 1x1 before the 5x5
# and the 5x5, and of the 1x1 after the pooling; None: a pooling that halves the image.
_INCEPTIONS = [
    (64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64), None,
    (192, 96, 208, 16, 48, 64), (160, 112, 224, 24, 64, 64), (128, 128, 256, 24, 64, 64), (112, 144, 288, 32, 64, 64),
    (256, 160, 320, 32, 128, 128), None,
    (256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128),
]  # fmt: skip


def googlenet() -> Layers:
    """GoogLeNet for 224x224x3 (Szegedy et al., 2014, table 1), without response normalization and side heads."""
    net = Net()
    net.add("conv2d", filters=64, kernel=7, strides=2, padding=3, activation="relu")
    net.add("max_pool", kernel=3, strides=2, padding=1)
    net.add("conv2d", filters=64, kernel=1, activation="relu")
    net.add("conv2d", filters=192, kernel=3, padding="same", activation="relu")
    x = net.add("max_pool", kernel=3, strides=2, padding=1)
    for filters in _INCEPTIONS:
        if filters is None:
            x = net.add("max_pool", x, kernel=3, strides=2, padding=1)
            continue
        one, before3, three, before5, five, pooled = filters
        branches = [net.add("conv2d", x, filters=one, kernel=1, activation="relu")]
        for before, after, kernel in ((before3, three, 3), (before5, five, 5)):
            net.add("conv2d", x, filters=before, kernel=1, activation="relu")
            branches.append(net.add("conv2d", filters=after, kernel=kernel, padding="same", activation="relu"))
        net.add("max_pool", x, kernel=3, strides=1, padding=1)
        branches.append(net.add("conv2d", filters=pooled, kernel=1, activation="relu"))
        x = net.add("concatenate", *branches)
    return _classifier(net, 1000)


def mobilenet_v2() -> Layers:
    """MobileNetV2 for 224x224x3 (Sandler et al., 2018, table 2), width 1."""
    net = Net()
    x = _conv_norm(net, filters=32, kernel=3, strides=2, padding=1, relu="relu6")
    channels = 32
    for expansion, filters, repeats, first_strides in tables.MOBILENET_V2:
        for i in range(repeats):
            x = _inverted_residual(net, x, channels, filters, expansion, first_strides if i == 0 else 1)
            channels = filters
    _conv_norm(net, x, filters=1280, kernel=1, relu="relu6")
    return _classifier(net, 1000)


def _inverted_residual(net: Net, x: str, channels: int, filters: int, expansion: int, strides: int) -> str:
    y = x
    if expansion > 1:
        y = _conv_norm(net, x, filters=expansion * channels, kernel=1, relu="relu6")
    padding: Any = "same" if strides == 1 else 1
    _conv_norm(net, y, kind="depthwise", kernel=3, strides=strides, padding=padding, relu="relu6")
    y = _conv_norm(net, filters=filters, kernel=1, relu="")
    return net.add("add", x, y) if strides == 1 and channels == filters else y
