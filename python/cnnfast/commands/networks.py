"""The networks that `cnnfast train` trains: a small one from scratch, or a head on a pre-trained base."""

from __future__ import annotations

from typing import Any

from cnnfast import layers
from cnnfast.models import Model, Sequential

_FILTERS = (16, 32, 64, 128, 256)
_MOMENTUM = 0.9  # of moving averages: a few thousand photos are some 60 steps an epoch, too few for the usual 0.99
_HEAD_UNITS = 256
_HEAD_DROPOUT = 0.5


def small_convnet(image_size: int, num_classes: int) -> Sequential:
    """A network for a few thousand photos: five convolutions with batch normalization, each pooled, then their means.

    Without dense layers over all positions it has 0.4 million parameters, a tenth of what the usual first convnet for
    150x150 photos has, and batch normalization makes it learn in a third of the epochs.

    Args:
        image_size: rows and columns, at least 32.
        num_classes: at least 2.

    Raises:
        ValueError: images too small for five poolings.
    """
    if image_size < 32:
        raise ValueError(f"a network from scratch needs images of at least 32x32, got {image_size}x{image_size}")
    stack: list[Any] = [layers.Input((image_size, image_size, 3)), layers.Rescaling(1 / 127.5, offset=-1)]
    for filters in _FILTERS:
        stack += [
            layers.Conv2D(filters, 3, padding="same", use_bias=False),
            layers.BatchNormalization(momentum=_MOMENTUM),
            layers.ReLU(),
            layers.MaxPooling2D(2),
        ]
    stack += [
        layers.GlobalAveragePooling2D(),
        layers.Dropout(0.3),
        layers.Dense(num_classes, activation="softmax"),
    ]
    return Sequential(stack, name="convnet")


def head_for(num_features: int, num_classes: int) -> Sequential:
    """A classifier of the features of a base, averaged over rows and columns: two dense layers."""
    return Sequential(
        [
            layers.Input((num_features,)),
            layers.Dense(_HEAD_UNITS, activation="relu"),
            layers.Dropout(_HEAD_DROPOUT),
            layers.Dense(num_classes, activation="softmax"),
        ],
        name="head",
    )


def preprocessed_base(name: str, weights: Any, variant: str | None, image_size: int) -> Sequential:
    """A pre-trained network without its top that takes images as files have them, 0 to 255.

    Args:
        name: as `applications` knows it, "vgg16".
        weights: a file, or "imagenet".
        variant: which variant the file is of, if it does not tell.
        image_size: rows and columns.
    """
    from cnnfast import applications

    base = applications.get(name)(
        include_top=False, weights=weights, input_shape=(image_size, image_size, 3), variant=variant
    )
    assert base.preprocessing is not None  # all networks of `applications` know theirs
    stack = [layers.Input((image_size, image_size, 3)), layers.Preprocess(base.preprocessing), base]
    return Sequential(stack, name="base")


def joined(base: Sequential, head: Sequential) -> Sequential:
    """Base and head as one network; the layers are the same, and so are their weights."""
    shape = base.input_shape[1:]
    stack = [layers.Input(shape), *base.layers, layers.GlobalAveragePooling2D(), *head.layers]
    return Sequential(stack, name="classifier")


def base_of(model: Model) -> Model:
    """The pre-trained base inside a network that `joined` made. ValueError if there is none."""
    for layer in model.layers:
        if isinstance(layer, Model):
            return layer
    raise ValueError(f"{model.name} has no base to fine-tune: its layers are {[x.name for x in model.layers]}")


def unfreeze_from(base: Model, start: str) -> None:
    """Lets a base's layers be trained from the first one on whose name begins with `start`; freezes those before.

    Raises:
        ValueError: no name begins so; nothing has changed.
    """
    names = [layer.name for layer in base.layers]
    first = next((i for i, name in enumerate(names) if name.startswith(start)), None)
    if first is None:
        raise ValueError(f"no layer's name begins with {start!r}; the layers are {', '.join(names)}")
    base.trainable = True
    for layer in base.layers[:first]:
        layer.trainable = False
