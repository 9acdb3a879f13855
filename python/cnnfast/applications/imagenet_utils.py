"""The 1000 classes of ImageNet, and what Keras calls `imagenet_utils`."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from cnnfast.applications._network import Network
from cnnfast.applications.preprocessing import preprocess_input

__all__ = ["decode_predictions", "imagenet_classes", "preprocess_input"]

_FILE = "imagenet_classes.json.z"  # made by tools/make_imagenet_classes.py; origin and licence are in IMAGENET.md


@cache
def imagenet_classes() -> tuple[tuple[str, str], ...]:
    """The classes in the order of pre-trained networks' outputs: (WordNet id, name).

    Example:
        >>> imagenet_classes()[281]
        ('n02123045', 'tabby')
    """
    content = zlib.decompress(resources.files(__package__).joinpath(_FILE).read_bytes())
    return tuple((wnid, name) for wnid, name in json.loads(content))


def decode_predictions(preds: Any, top: int = 5) -> list[list[tuple[str, str, np.float32]]]:
    """The most probable classes of ImageNet for each image, the best first.

    Args:
        preds: (N, 1000), what a network with its pre-trained top predicts.
        top: how many classes, 1 to 1000. Default 5.

    Returns:
        For each image a list of (WordNet id, name, score).

    Raises:
        ValueError: another shape, or `top` out of range.

    Example:
        >>> decode_predictions(np.eye(1000)[[281]], top=1)[0][0][:2]
        ('n02123045', 'tabby')
    """
    preds = np.asarray(preds)
    classes = imagenet_classes()
    if preds.ndim != 2 or preds.shape[1] != len(classes):
        raise ValueError(f"decode_predictions: expected predictions (N, 1000), got shape {preds.shape}")
    if isinstance(top, bool) or not isinstance(top, (int, np.integer)) or not 1 <= top <= len(classes):
        raise ValueError(f"decode_predictions: top must be an integer from 1 to 1000, got {top!r}")
    best = np.argsort(-preds, axis=1, kind="stable")[:, :top]
    return [[(*classes[i], scores[i]) for i in row] for row, scores in zip(best, preds, strict=True)]


def preprocessing_of(network: Network) -> Callable[..., np.ndarray]:
    """The `preprocess_input` of a network's module."""
    default = next(iter(network.variants))

    def preprocess(x: Any, data_format: str | None = None, variant: str = default) -> np.ndarray:
        if variant not in network.variants:
            known = ", ".join(network.variants)
            raise ValueError(f"preprocess_input: variant of {network.title} must be one of {known}, got {variant!r}")
        return preprocess_input(x, data_format, network.variants[variant].preprocessing)

    modes = ", ".join(f'"{v}" ({known.preprocessing})' for v, known in network.variants.items())
    preprocess.__name__ = preprocess.__qualname__ = "preprocess_input"
    preprocess.__doc__ = f"""Images as the weights of {network.title} want them: a new array.

    Args:
        x: (H, W, 3) or (N, H, W, 3), RGB in 0..255, integers or floats.
        data_format: "channels_last", the only one.
        variant: of the weights; default "{default}". Known, with the mode of `preprocessing`: {modes}.

    Raises:
        ValueError: another shape, an unknown variant, channels first.
    """
    return preprocess
