"""What the networks have in common: their arguments, the input, the end, and where weights come from."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnfast import layers
from cnnfast.graph.values import Value, topological_nodes
from cnnfast.layers.base import initial_values_from
from cnnfast.models import Model


@dataclass(frozen=True)
class Variant:
    """A family of weights of a network.

    Attributes:
        preprocessing: the mode of `Preprocess` for its images.
        with_top: (address, digest) of the official weights; None if there are none.
        without_top: the same for the network without its top; `with_top` serves if None.
        size: rows and columns of the images it was trained on.

    A digest is written "md5:..." or "sha256:..."; it may be the beginning of one, as in the names of PyTorch's files,
    or "" where the owner publishes none.
    """

    preprocessing: str
    with_top: tuple[str, str] | None = None
    without_top: tuple[str, str] | None = None
    size: int = 224


@dataclass(frozen=True)
class Network:
    """A page of this package.

    Attributes:
        title: what the network is called in messages.
        variants: by name; the first is meant where nothing says which.
        body: (image, variant) -> features.
        top: (features, variant, classes, activation) -> predictions.
        classifier: the layers of `top` that have weights, the last one as wide as there are classes.
        names: layers' names in other files, as {layer: name there}, one dictionary for each kind of file.
        recognize: which variant files are whose names do not say it; None if it cannot be told.
        min_size: the smallest image.
    """

    title: str
    variants: Mapping[str, Variant]
    body: Callable[[Value, str], Value]
    top: Callable[[Value, str, int, Any], Value]
    classifier: Sequence[str]
    names: Sequence[Mapping[str, str]] = ()
    recognize: Callable[[Mapping[str, np.ndarray]], str | None] = lambda arrays: None
    min_size: int = 32


def construct(
    network: Network,
    *,
    include_top: bool,
    weights: Any,
    input_tensor: Any,
    input_shape: Any,
    pooling: str | None,
    classes: int,
    classifier_activation: Any,
    name: str | None,
    variant: str | None,
) -> Model:
    """The model that a constructor of this package returns; the arguments are those of Keras' applications.

    Raises:
        ValueError: arguments that do not fit together; weights that do not fit the network.
        OSError: a weights file that cannot be read.
        DownloadError: official weights that are neither here nor can be fetched.
    """
    from cnnfast.applications import _weights

    title = network.title
    if variant is not None and variant not in network.variants:
        raise ValueError(f"{title}: variant must be one of {', '.join(network.variants)}, got {variant!r}")
    if pooling not in (None, "avg", "max"):
        raise ValueError(f"{title}: pooling must be None, 'avg' or 'max', got {pooling!r}")
    if isinstance(classes, bool) or not isinstance(classes, (int, np.integer)) or classes < 1:
        raise ValueError(f"{title}: classes must be a positive integer, got {classes!r}")
    if weights == "imagenet" and include_top:
        if classes != 1000:
            raise ValueError(
                f"{title}: weights='imagenet' with include_top has 1000 classes, got classes={classes}; "
                "use include_top=False and add a head of your own"
            )
        if classifier_activation not in (None, "softmax", "linear"):
            raise ValueError(
                f"{title}: weights='imagenet' needs classifier_activation 'softmax' or None, "
                f"got {classifier_activation!r}"
            )
    if weights is not None and not isinstance(weights, (str, os.PathLike)):
        raise TypeError(f"{title}: weights must be None, 'imagenet' or a path, got {type(weights).__name__}")

    file = None
    if weights == "imagenet":
        variant = variant or next(iter(network.variants))
        file = _weights.official(network, variant, include_top)
    elif weights is not None:
        file = _weights.read(network, weights)
        if variant is None:
            variant = _weights.variant_of(network, file)
        _weights.check_variant(network, variant, file)
    variant = variant or next(iter(network.variants))

    def build() -> Model:
        image, inputs = _input(network, variant, input_tensor, input_shape, include_top, weights)
        x = network.body(image, variant)
        x = network.top(x, variant, int(classes), classifier_activation) if include_top else _pooled(x, pooling)
        return Model(inputs, x, name=name)

    if file is None:
        model = build()
    else:
        with initial_values_from(np.zeros):  # which the file's values replace
            model = build()
        _weights.load(network, variant, model, file, include_top)
    model.variant = variant
    model.preprocessing = network.variants[variant].preprocessing
    return model


def _input(
    network: Network, variant: str, tensor: Any, shape: Any, include_top: bool, weights: Any
) -> tuple[Value, Any]:
    """The image that the network reads, and the inputs of the model."""
    if tensor is not None:
        if not isinstance(tensor, Value) or tensor.graph is not None:
            raise TypeError(
                f"{network.title}: input_tensor must be a symbolic value from Input or from layers, "
                f"got {type(tensor).__name__}"
            )
        _check_shape(network, tuple(tensor.shape)[1:], include_top, weights)
        sources = [v for node in topological_nodes([tensor]) if not node.inputs for v in node.outputs]
        return tensor, sources if len(sources) > 1 else sources[0]
    if shape is None:
        size = network.variants[variant].size
        shape = (size, size, 3) if include_top else (None, None, 3)
    shape = tuple(shape)
    _check_shape(network, shape, include_top, weights)
    image = layers.Input(shape)
    return image, image


def _check_shape(network: Network, shape: tuple[int | None, ...], include_top: bool, weights: Any) -> None:
    title, least = network.title, network.min_size
    if len(shape) != 3:
        raise ValueError(f"{title}: input_shape must be (H, W, C), got {shape}")
    if shape[2] != 3 and weights is not None:
        raise ValueError(f"{title}: pre-trained weights are for images of 3 channels, got input_shape={shape}")
    if any(d is not None and d < least for d in shape[:2]):
        raise ValueError(f"{title}: images must be at least {least}x{least}, got input_shape={shape}")
    if include_top and None in shape:
        raise ValueError(f"{title}: include_top needs an input_shape without None, got {shape}")


def _pooled(x: Value, pooling: str | None) -> Value:
    if pooling == "avg":
        return layers.GlobalAveragePooling2D(name="avg_pool")(x)
    if pooling == "max":
        return layers.GlobalMaxPooling2D(name="max_pool")(x)
    return x


# For single pages


def correct_pad(x: Value, kernel: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Zeros ((top, bottom), (left, right)) for a convolution with strides 2, as Keras' `correct_pad` counts them: none
    above an image of even or unknown size."""
    half = kernel // 2
    rows, columns = (half - (1 - d % 2 if d is not None else 1) for d in x.shape[1:3])
    return (rows, half), (columns, half)


def official_size(title: str, weights: Any, shape: Any, tensor: Any, sizes: Sequence[int]) -> int | None:
    """Rows of the images for which Keras' MobileNets have weights of their own; those for 224 serve for all others.

    Returns:
        The rows; without official weights, those of `shape` as they are, which may be None.
    """
    given = tuple(tensor.shape)[1:] if isinstance(tensor, Value) else shape
    rows = given[0] if given else 224
    if weights != "imagenet" or (given and given[0] == given[1] and rows in sizes) or not given:
        return rows
    warnings.warn(
        f"{title}: there are official weights for images of {', '.join(map(str, sizes))} rows and columns, those "
        f"for 224 are taken for input_shape={tuple(given)}",
        stacklevel=3,
    )
    return 224
